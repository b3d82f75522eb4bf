require 'socket'

def read_greeting(socket)
  socket.gets
end

read_greeting(TCPSocket.new(ENV['CORPUS_HOST'], 6379))
