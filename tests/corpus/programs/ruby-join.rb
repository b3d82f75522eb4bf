require 'socket'

def load_prices
  socket = TCPSocket.new(ENV.fetch('CORPUS_HOST'), 6379)
  socket.gets
end

loader = Thread.new { load_prices }
loader.join
