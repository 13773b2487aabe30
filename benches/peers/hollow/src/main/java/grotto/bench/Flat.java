package grotto.bench;

import com.netflix.hollow.core.read.engine.HollowReadStateEngine;
import com.netflix.hollow.core.read.engine.object.HollowObjectTypeReadState;
import com.netflix.hollow.core.write.objectmapper.HollowInline;
import com.netflix.hollow.core.write.objectmapper.HollowPrimaryKey;
import java.util.BitSet;

/** Workload flat: one type, eight fields, no references. */
final class Flat implements Workload {
    @HollowPrimaryKey(fields = "id")
    static final class Product {
        long id;
        @HollowInline String title;
        int cents;
        int stock;
        int category;
        float rating;
        boolean active;
        long updated_at;
    }

    public String name() {
        return "flat";
    }

    public Class<?> type() {
        return Product.class;
    }

    public String number() {
        return "cents";
    }

    public Object record(long index, long revision) {
        Rng fixed = Rng.fixed(index);
        Rng changing = Rng.changing(index, revision);
        Product product = new Product();
        product.id = Rng.id(index);
        product.title = fixed.text(12, 29);
        product.category = fixed.below(500);
        product.rating = fixed.below(501) / 100.0f;
        product.active = fixed.below(10) != 0;
        product.cents = changing.below(1_000_000);
        product.stock = changing.below(10_000);
        product.updated_at = 1_700_000_000_000L + changing.belowLong(31_536_000_000L);
        return product;
    }

    public long digest(HollowReadStateEngine state) {
        HollowObjectTypeReadState type = (HollowObjectTypeReadState) state.getTypeState("Product");
        String[] names = {"cents", "stock", "category", "rating", "active", "updated_at", "title", "id"};
        int[] field = new int[names.length];
        for (int i = 0; i < names.length; i++) {
            field[i] = type.getSchema().getPosition(names[i]);
        }
        long sum = 0;
        BitSet live = type.getPopulatedOrdinals();
        for (int o = live.nextSetBit(0); o >= 0; o = live.nextSetBit(o + 1)) {
            long h = type.readLong(o, field[7]);
            h = Rng.mix(h ^ type.readInt(o, field[0]));
            h = Rng.mix(h ^ type.readInt(o, field[1]));
            h = Rng.mix(h ^ type.readInt(o, field[2]));
            h = Rng.mix(h ^ (Float.floatToRawIntBits(type.readFloat(o, field[3])) & 0xffffffffL));
            h = Rng.mix(h ^ (type.readBoolean(o, field[4]) ? 1 : 0));
            h = Rng.mix(h ^ type.readLong(o, field[5]));
            sum += Rng.mix(h ^ Rng.hash(type.readString(o, field[6])));
        }
        return sum;
    }
}
