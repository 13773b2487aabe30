package grotto.bench;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/** The dataset as it should be: which records live, at which revision. */
final class Model {
    /** What a change step did. */
    static final class Step {
        long[] deleted;
        /** Records that are new or have another revision. */
        Object[] put;
    }

    final Workload workload;
    final int n;
    private int size;
    private long[] index;
    private long[] revision;
    private Object[] records;
    private long unused;
    private long steps;

    Model(Workload workload, int n) {
        this.workload = workload;
        this.n = n;
        size = n;
        index = new long[n];
        revision = new long[n];
        records = new Object[n];
        for (int i = 0; i < n; i++) {
            index[i] = i;
            records[i] = workload.record(i, 0);
        }
        unused = n;
    }

    int size() {
        return size;
    }

    Object record(int position) {
        return records[position];
    }

    /** Takes the next change step: k changed, k / 10 deleted and k / 10 new records. */
    Step step(int k) {
        steps++;
        Rng rng = new Rng(Rng.mix(0x44454C5441000000L + steps));
        Step step = new Step();
        step.deleted = new long[k / 10];
        step.put = new Object[k + k / 10];
        for (int i = 0; i < k / 10; i++) {
            int position = rng.below(size);
            step.deleted[i] = Rng.id(index[position]);
            size--;
            index[position] = index[size];
            revision[position] = revision[size];
            records[position] = records[size];
            records[size] = null;
        }
        Set<Integer> modified = new HashSet<>();
        int put = 0;
        while (modified.size() < k) {
            int position = rng.below(size);
            if (modified.add(position)) {
                revision[position]++;
                records[position] = workload.record(index[position], revision[position]);
                step.put[put++] = records[position];
            }
        }
        for (int i = 0; i < k / 10; i++) {
            if (size == index.length) {
                index = Arrays.copyOf(index, size + size / 8 + 16);
                revision = Arrays.copyOf(revision, index.length);
                records = Arrays.copyOf(records, index.length);
            }
            index[size] = unused;
            revision[size] = 0;
            records[size] = workload.record(unused, 0);
            step.put[put++] = records[size];
            size++;
            unused++;
        }
        return step;
    }

    /** Random keys of live records, always the same ones. */
    long[] keys(int count) {
        Rng rng = new Rng(0x4C4F4F4B5550L);
        long[] keys = new long[count];
        for (int i = 0; i < count; i++) {
            keys[i] = Rng.id(index[rng.below(size)]);
        }
        return keys;
    }

    /** Keys without a record. */
    long[] misses(int count) {
        long[] keys = new long[count];
        for (int i = 0; i < count; i++) {
            keys[i] = Rng.id(unused + i);
        }
        return keys;
    }
}
