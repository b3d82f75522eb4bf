import java.net.Socket;

class Main {
    static int readGreeting(Socket socket) throws Exception {
        return socket.getInputStream().read();
    }

    public static void main(String[] arguments) throws Exception {
        readGreeting(new Socket(System.getenv("CORPUS_HOST"), 6379));
    }
}
