package grotto.bench;

import com.netflix.hollow.core.index.HollowPrimaryKeyIndex;
import com.netflix.hollow.core.read.HollowBlobInput;
import com.netflix.hollow.core.read.engine.HollowBlobReader;
import com.netflix.hollow.core.read.engine.HollowReadStateEngine;
import com.netflix.hollow.core.read.engine.HollowTypeReadState;
import com.netflix.hollow.core.read.engine.object.HollowObjectTypeReadState;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** A loaded state with an index on the primary key that follows deltas. */
final class Consumer {
    final HollowReadStateEngine state = new HollowReadStateEngine();
    private final HollowBlobReader reader = new HollowBlobReader(state);
    private final HollowPrimaryKeyIndex index;
    private final HollowObjectTypeReadState type;
    private final int number;
    private final int title;

    Consumer(Workload workload, Path snapshot) throws IOException {
        try (InputStream in = new BufferedInputStream(Files.newInputStream(snapshot), 1 << 16);
                HollowBlobInput input = HollowBlobInput.serial(in)) {
            reader.readSnapshot(input);
        }
        String name = workload.type().getSimpleName();
        index = new HollowPrimaryKeyIndex(state, name, "id");
        index.listenForDeltaUpdates();
        type = (HollowObjectTypeReadState) state.getTypeState(name);
        number = type.getSchema().getPosition(workload.number());
        title = type.getSchema().getPosition("title");
    }

    void apply(byte[] delta) throws IOException {
        try (HollowBlobInput input = HollowBlobInput.serial(delta)) {
            reader.applyDelta(input);
        }
    }

    /** The sum of a number over keys that exist. */
    long get(long[] keys, int from, int to) {
        long sum = 0;
        for (int i = from; i < to; i++) {
            int ordinal = index.getMatchingOrdinal(keys[i]);
            if (ordinal < 0) {
                throw new IllegalStateException("no record " + keys[i]);
            }
            sum += type.readInt(ordinal, number);
        }
        return sum;
    }

    /** The sum of the first and last characters of text. */
    long getString(long[] keys) {
        long sum = 0;
        for (long key : keys) {
            String text = type.readString(index.getMatchingOrdinal(key), title);
            sum += text.charAt(0) + text.charAt(text.length() - 1);
        }
        return sum;
    }

    long miss(long[] keys) {
        long found = 0;
        for (long key : keys) {
            found += index.getMatchingOrdinal(key) >= 0 ? 1 : 0;
        }
        return found;
    }

    long scan() {
        long sum = 0;
        java.util.BitSet live = type.getPopulatedOrdinals();
        for (int o = live.nextSetBit(0); o >= 0; o = live.nextSetBit(o + 1)) {
            sum += type.readInt(o, number);
        }
        return sum;
    }

    int size() {
        return type.getPopulatedOrdinals().cardinality();
    }

    /** Bytes of the records and of the index. */
    long bytes() {
        long bytes = index.approxHeapFootprintInBytes();
        for (HollowTypeReadState each : state.getTypeStates()) {
            bytes += each.getApproximateHeapFootprintInBytes();
        }
        return bytes;
    }
}
