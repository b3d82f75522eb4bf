require 'socket'

def wait_for_cache
  TCPSocket.new(ENV['CORPUS_HOST'], 6379)
rescue SystemCallError
  sleep 0.3
  retry
end

wait_for_cache
