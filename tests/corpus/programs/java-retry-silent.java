import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;

class Main {
    static void awaitDatabase() throws InterruptedException {
        while (true) {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(System.getenv("CORPUS_HOST"), 6379), 1000);
                return;
            } catch (IOException refused) {
                Thread.sleep(400);
            }
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        awaitDatabase();
    }
}
