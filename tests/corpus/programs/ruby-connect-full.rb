require 'socket'

def connect_redis
  TCPSocket.new(ENV['CORPUS_HOST'], 6379)
end

connect_redis
