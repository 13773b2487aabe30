package grotto.bench;

import com.netflix.hollow.api.producer.HollowProducer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;

/** Keeps what a producer publishes. Nothing is copied while a cycle is timed. */
final class Blobs implements HollowProducer.Publisher {
    private HollowProducer.Blob snapshot;
    private HollowProducer.Blob delta;

    @Override
    public void publish(HollowProducer.Blob blob) {
        switch (blob.getType()) {
            case SNAPSHOT:
                snapshot = blob;
                break;
            case DELTA:
                delta = blob;
                break;
            default:
                break;
        }
    }

    byte[] takeSnapshot() {
        byte[] bytes = bytes(snapshot);
        snapshot = null;
        return bytes;
    }

    byte[] takeDelta() {
        byte[] bytes = bytes(delta);
        delta = null;
        return bytes;
    }

    private static byte[] bytes(HollowProducer.Blob blob) {
        try (InputStream in = blob.newInputStream()) {
            return in.readAllBytes();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
