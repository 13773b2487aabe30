package grotto.bench;

import com.netflix.hollow.api.producer.HollowProducer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Measures Hollow on one workload: {@code Main <workload> <n> <k> <runs> <lookups> <folder>}. */
final class Main {
    private final Workload workload;
    private final int n;
    private final int k;
    private final int runs;
    private final int lookups;
    private final Path folder;
    private final Report report;
    /** Keeps the sums of reads alive. */
    private long sink;

    private Main(String[] args) {
        n = Integer.parseInt(args[1]);
        workload = Workload.of(args[0], n);
        k = Integer.parseInt(args[2]);
        runs = Integer.parseInt(args[3]);
        lookups = Integer.parseInt(args[4]);
        folder = Path.of(args[5]);
        report = new Report(workload.name(), n);
    }

    public static void main(String[] args) throws Exception {
        java.util.logging.LogManager.getLogManager().reset();
        if (args[0].equals("load")) {
            load(args[1], Path.of(args[2]));
            return;
        }
        new Main(args).run();
    }

    private void run() throws Exception {
        Model model = new Model(workload, n);
        Path snapshot = consume(model);
        processes(snapshot);
        new Cycles(model, runs, k, report).incrementalChecked();
        new Cycles(model, runs, k, report).full();
        if (sink == 42) {
            System.err.println("unlikely");
        }
    }

    /** Everything about one incremental producer and the consumer that follows it. */
    private Path consume(Model model) throws IOException {
        Blobs blobs = new Blobs();
        HollowProducer.Incremental producer = Cycles.incremental(model, blobs, false);
        byte[] bytes = blobs.takeSnapshot();
        Path snapshot = folder.resolve("hollow-" + workload.name() + ".snapshot");
        Files.write(snapshot, bytes);
        report.print("snapshot_bytes", 0, "bytes", bytes.length);
        bytes = null;
        Consumer consumer = warmLoads(snapshot);
        report.print("bytes_per_record", 0, "bytes", (double) consumer.bytes() / n);
        long initial = workload.digest(consumer.state);
        reads(model, consumer);
        for (int i = 0; i < 3; i++) {
            Cycles.publish(model, producer, 1_000);
            consumer.apply(blobs.takeDelta());
        }
        report.digest(initial, workload.digest(consumer.state));
        deltas(model, producer, blobs, consumer);
        return snapshot;
    }

    private Consumer warmLoads(Path snapshot) throws IOException {
        // The first loads compile; what remains is the work.
        Consumer consumer = null;
        List<Double> times = new ArrayList<>();
        for (int i = 0; i < runs + 3; i++) {
            consumer = null;
            long start = System.nanoTime();
            consumer = new Consumer(workload, snapshot);
            if (i >= 3) {
                times.add(Report.ms(System.nanoTime() - start));
            }
        }
        report.print("fresh_load", 0, "ms", Cycles.array(times));
        return consumer;
    }

    /** Cycle times, and the times to apply what they published. */
    private void deltas(Model model, HollowProducer.Incremental producer, Blobs blobs, Consumer consumer)
            throws IOException {
        List<Double> cycles = new ArrayList<>();
        int percent = Math.max(1, n / 100);
        int few = n > 2_000_000 ? runs : 3 * runs;
        int[][] sizes = {{10, few}, {1_000, few}, {percent, runs}};
        String[] names = {"apply_10", "apply_1000", "apply_1pct"};
        for (int s = 0; s < sizes.length; s++) {
            List<Double> applies = new ArrayList<>();
            for (int i = 0; i < sizes[s][1]; i++) {
                long nanos = Cycles.publish(model, producer, sizes[s][0]);
                byte[] delta = blobs.takeDelta();
                if (sizes[s][0] == k) {
                    cycles.add(Report.ms(nanos));
                    if (i == 0) {
                        Files.write(folder.resolve("hollow-" + workload.name() + ".delta"), delta);
                        report.print("delta_bytes", k, "bytes", delta.length);
                    }
                }
                long start = System.nanoTime();
                consumer.apply(delta);
                applies.add(Report.ms(System.nanoTime() - start));
            }
            report.print(names[s], sizes[s][0], "ms", Cycles.array(applies));
        }
        report.print("incremental_cycle", k, "ms", Cycles.array(cycles));
    }

    private interface Read {
        long run();
    }

    private void time(String metric, int count, Read read) {
        // At least a second, so that all is compiled and placed as in a process that has run a while.
        long warm = System.nanoTime();
        while (System.nanoTime() - warm < 1_000_000_000L) {
            sink += read.run();
        }
        double[] times = new double[runs];
        for (int i = 0; i < runs; i++) {
            long start = System.nanoTime();
            sink += read.run();
            times[i] = (double) (System.nanoTime() - start) / count;
        }
        report.print(metric, 0, "ns", times);
    }

    private void reads(Model model, Consumer consumer) {
        long[] keys = model.keys(lookups);
        long[] misses = model.misses(lookups);
        time("get", keys.length, () -> consumer.get(keys, 0, keys.length));
        time("get_string", keys.length, () -> consumer.getString(keys));
        time("miss", misses.length, () -> consumer.miss(misses));
        time("scan", consumer.size(), consumer::scan);
    }

    /** Loads in processes of their own, started as this one was. */
    private void processes(Path snapshot) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "grotto.bench.Main"));
        command.addAll(List.of("load", workload.name(), snapshot.toString()));
        List<Double> inside = new ArrayList<>();
        List<Double> outside = new ArrayList<>();
        for (int i = 0; i < runs; i++) {
            long start = System.nanoTime();
            Process child = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
            String line = new String(child.getInputStream().readAllBytes()).trim();
            outside.add(Report.ms(System.nanoTime() - start));
            if (child.waitFor() != 0) {
                throw new IllegalStateException("a child failed: " + line);
            }
            inside.add(Report.ms(Long.parseLong(line)));
        }
        report.print("load", 0, "ms", Cycles.array(inside));
        report.print("load_process", 0, "ms", Cycles.array(outside));
    }

    private static void load(String workload, Path snapshot) throws IOException {
        long start = System.nanoTime();
        Consumer consumer = new Consumer(Workload.of(workload, 0), snapshot);
        long time = System.nanoTime() - start;
        if (consumer.size() == 0) {
            throw new IllegalStateException("nothing loaded");
        }
        System.out.println(time);
    }
}
