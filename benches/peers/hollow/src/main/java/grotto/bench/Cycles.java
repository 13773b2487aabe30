package grotto.bench;

import com.netflix.hollow.api.producer.HollowProducer;
import com.netflix.hollow.api.producer.fs.HollowInMemoryBlobStager;
import com.netflix.hollow.core.write.objectmapper.RecordPrimaryKey;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** Producer cycles, up to the encoded blobs. */
final class Cycles {
    private final Model model;
    private final int runs;
    private final int k;
    private final Report report;

    Cycles(Model model, int runs, int k, Report report) {
        this.model = model;
        this.runs = runs;
        this.k = k;
        this.report = report;
    }

    static HollowProducer.Builder<?> builder(Blobs blobs, boolean check) {
        HollowProducer.Builder<?> builder = HollowProducer.withPublisher(blobs)
            .withBlobStager(new HollowInMemoryBlobStager())
            .withNumStatesBetweenSnapshots(Integer.MAX_VALUE);
        return check ? builder : builder.noIntegrityCheck();
    }

    /** Adds all records from one thread. */
    private void populate(HollowProducer.WriteState state) {
        for (int i = 0; i < model.size(); i++) {
            state.add(model.record(i));
        }
    }

    /** Adds all records from two threads. */
    private void populateParallel(HollowProducer.WriteState state) throws InterruptedException {
        AtomicInteger next = new AtomicInteger();
        Runnable work = () -> {
            final int run = 1024;
            for (int from = next.getAndAdd(run); from < model.size(); from = next.getAndAdd(run)) {
                for (int i = from; i < Math.min(from + run, model.size()); i++) {
                    state.add(model.record(i));
                }
            }
        };
        Thread other = new Thread(work);
        other.start();
        work.run();
        other.join();
    }

    private double[] first(HollowProducer.Populator populator) {
        List<Double> times = new ArrayList<>();
        for (int i = 0; i < runs; i++) {
            HollowProducer producer = builder(new Blobs(), false).build();
            producer.initializeDataModel(model.workload.type());
            long start = System.nanoTime();
            producer.runCycle(populator);
            times.add(Report.ms(System.nanoTime() - start));
        }
        return array(times);
    }

    /** Cycles over all records. */
    void full() {
        report.print("first_full_cycle", 0, "ms", first(this::populate));
        report.print("first_full_cycle_parallel", 0, "ms", first(this::populateParallel));
        for (boolean check : new boolean[] {false, true}) {
            HollowProducer producer = builder(new Blobs(), check).build();
            producer.initializeDataModel(model.workload.type());
            producer.runCycle(this::populate);
            List<Double> times = new ArrayList<>();
            List<Double> parallel = new ArrayList<>();
            for (int i = 0; i < runs; i++) {
                model.step(k);
                long start = System.nanoTime();
                producer.runCycle(this::populate);
                times.add(Report.ms(System.nanoTime() - start));
                model.step(k);
                start = System.nanoTime();
                producer.runCycle(this::populateParallel);
                parallel.add(Report.ms(System.nanoTime() - start));
            }
            String ending = check ? "_checked" : "";
            report.print("full_cycle" + ending, k, "ms", array(times));
            report.print("full_cycle_parallel" + ending, k, "ms", array(parallel));
        }
    }

    /** An incremental producer that has published the model. */
    static HollowProducer.Incremental incremental(Model model, Blobs blobs, boolean check) {
        HollowProducer.Incremental producer = builder(blobs, check).buildIncremental();
        producer.initializeDataModel(model.workload.type());
        producer.runIncrementalCycle(state -> {
            for (int i = 0; i < model.size(); i++) {
                state.addOrModify(model.record(i));
            }
        });
        return producer;
    }

    /** Takes a change step and publishes it; gives the nanoseconds of the cycle. */
    static long publish(Model model, HollowProducer.Incremental producer, int k) {
        Model.Step step = model.step(k);
        String type = model.workload.type().getSimpleName();
        long start = System.nanoTime();
        producer.runIncrementalCycle(state -> {
            for (long id : step.deleted) {
                state.delete(new RecordPrimaryKey(type, new Object[] {id}));
            }
            for (Object record : step.put) {
                state.addOrModify(record);
            }
        });
        return System.nanoTime() - start;
    }

    /** Incremental cycles with the integrity check, which the producer of the deltas does without. */
    void incrementalChecked() {
        Blobs blobs = new Blobs();
        HollowProducer.Incremental producer = incremental(model, blobs, true);
        List<Double> times = new ArrayList<>();
        for (int i = 0; i < runs; i++) {
            times.add(Report.ms(publish(model, producer, k)));
        }
        report.print("incremental_cycle_checked", k, "ms", array(times));
    }

    static double[] array(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).toArray();
    }
}
