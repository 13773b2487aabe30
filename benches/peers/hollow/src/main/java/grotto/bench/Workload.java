package grotto.bench;

import com.netflix.hollow.core.read.engine.HollowReadStateEngine;

/** A way to make records out of their index and revision. */
interface Workload {
    String name();

    /** The class of top-level records, which is also the name of their type. */
    Class<?> type();

    /** The field that "read" touches, a number. */
    String number();

    Object record(long index, long revision);

    /** The sum of the digests of all records that a state holds. */
    long digest(HollowReadStateEngine state);

    static Workload of(String name, long n) {
        switch (name) {
            case "flat":
                return new Flat();
            case "catalog":
                return new Catalog(n);
            default:
                throw new IllegalArgumentException("no workload " + name + ": expected flat or catalog");
        }
    }
}
