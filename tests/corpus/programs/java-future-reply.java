import java.net.Socket;
import java.util.concurrent.Executors;

class Main {
    static int loadRates() throws Exception {
        try (Socket socket = new Socket(System.getenv("CORPUS_HOST"), 6379)) {
            return socket.getInputStream().read();
        }
    }

    public static void main(String[] arguments) throws Exception {
        Executors.newSingleThreadExecutor().submit(Main::loadRates).get();
    }
}
