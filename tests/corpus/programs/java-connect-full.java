import java.net.Socket;

class Main {
    static Socket connectDatabase() throws Exception {
        return new Socket(System.getenv("CORPUS_HOST"), 6379);
    }

    public static void main(String[] arguments) throws Exception {
        connectDatabase();
    }
}
