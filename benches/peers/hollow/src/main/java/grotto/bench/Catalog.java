package grotto.bench;

import com.netflix.hollow.core.read.engine.HollowReadStateEngine;
import com.netflix.hollow.core.read.engine.list.HollowListTypeReadState;
import com.netflix.hollow.core.read.engine.object.HollowObjectTypeReadState;
import com.netflix.hollow.core.write.objectmapper.HollowInline;
import com.netflix.hollow.core.write.objectmapper.HollowPrimaryKey;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/** Workload catalog: films with references, lists, shared strings and long text. */
final class Catalog implements Workload {
    @HollowPrimaryKey(fields = "id")
    static final class Movie {
        long id;
        @HollowInline String title;
        int year;
        String country;
        List<String> genres;
        List<Actor> cast;
        @HollowInline String description;
    }

    static final class Actor {
        long id;
        @HollowInline String name;
    }

    private final String[] countries = new String[200];
    private final String[] genres = new String[30];
    private final Actor[] actors;

    Catalog(long n) {
        for (int c = 0; c < countries.length; c++) {
            countries[c] = "country-" + Rng.word(c) + "-" + c;
        }
        for (int g = 0; g < genres.length; g++) {
            genres[g] = "genre-" + Rng.word(g) + "-" + g;
        }
        actors = new Actor[(int) Math.max(10, n / 5)];
        for (int a = 0; a < actors.length; a++) {
            Rng rng = new Rng(Rng.mix(a ^ 0x4E414D4500000000L));
            actors[a] = new Actor();
            actors[a].id = Rng.mix(a + 0x4143544F52000000L) >>> 1;
            actors[a].name = rng.word() + " " + rng.word();
        }
    }

    public String name() {
        return "catalog";
    }

    public Class<?> type() {
        return Movie.class;
    }

    public String number() {
        return "year";
    }

    public Object record(long index, long revision) {
        Rng fixed = Rng.fixed(index);
        Rng changing = Rng.changing(index, revision);
        Movie movie = new Movie();
        movie.id = Rng.id(index);
        movie.title = fixed.text(12, 29);
        movie.year = 1920 + fixed.below(107);
        movie.country = countries[fixed.below(200)];
        movie.genres = new ArrayList<>(4);
        for (int g : fixed.distinct(1 + fixed.below(4), 30)) {
            movie.genres.add(genres[g]);
        }
        movie.cast = new ArrayList<>(10);
        for (int a : changing.distinct(3 + changing.below(8), actors.length)) {
            movie.cast.add(actors[a]);
        }
        movie.description = changing.text(100, 101);
        return movie;
    }

    public long digest(HollowReadStateEngine state) {
        HollowObjectTypeReadState movie = object(state, "Movie");
        int id = field(movie, "id");
        int title = field(movie, "title");
        int year = field(movie, "year");
        int country = field(movie, "country");
        int genresOf = field(movie, "genres");
        int castOf = field(movie, "cast");
        int description = field(movie, "description");
        HollowObjectTypeReadState string = object(state, "String");
        int value = field(string, "value");
        HollowObjectTypeReadState actor = object(state, "Actor");
        int actorId = field(actor, "id");
        int actorName = field(actor, "name");
        HollowListTypeReadState genreLists = (HollowListTypeReadState) state.getTypeState("ListOfString");
        HollowListTypeReadState castLists = (HollowListTypeReadState) state.getTypeState("ListOfActor");
        long sum = 0;
        BitSet live = movie.getPopulatedOrdinals();
        for (int o = live.nextSetBit(0); o >= 0; o = live.nextSetBit(o + 1)) {
            long h = movie.readLong(o, id);
            h = Rng.mix(h ^ Rng.hash(movie.readString(o, title)));
            h = Rng.mix(h ^ movie.readInt(o, year));
            h = Rng.mix(h ^ Rng.hash(string.readString(movie.readOrdinal(o, country), value)));
            int list = movie.readOrdinal(o, genresOf);
            h = Rng.mix(h ^ genreLists.size(list));
            for (int i = 0; i < genreLists.size(list); i++) {
                h = Rng.mix(h ^ Rng.hash(string.readString(genreLists.getElementOrdinal(list, i), value)));
            }
            list = movie.readOrdinal(o, castOf);
            h = Rng.mix(h ^ castLists.size(list));
            for (int i = 0; i < castLists.size(list); i++) {
                int a = castLists.getElementOrdinal(list, i);
                h = Rng.mix(h ^ actor.readLong(a, actorId));
                h = Rng.mix(h ^ Rng.hash(actor.readString(a, actorName)));
            }
            sum += Rng.mix(h ^ Rng.hash(movie.readString(o, description)));
        }
        return sum;
    }

    private static HollowObjectTypeReadState object(HollowReadStateEngine state, String type) {
        return (HollowObjectTypeReadState) state.getTypeState(type);
    }

    private static int field(HollowObjectTypeReadState type, String name) {
        return type.getSchema().getPosition(name);
    }
}
