import java.net.Socket;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

class Main {
    static void load() {
        try (Socket socket = new Socket(System.getenv("CORPUS_HOST"), 6379)) {
            socket.getInputStream().read();
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        ExecutorService pool = Executors.newFixedThreadPool(2);
        pool.submit(Main::load);
        pool.shutdown();
        pool.awaitTermination(1, TimeUnit.HOURS);
    }
}
