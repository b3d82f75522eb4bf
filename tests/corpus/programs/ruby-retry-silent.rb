require 'socket'

def wait_for_cache
  TCPSocket.new(ENV.fetch('CORPUS_HOST'), 6379)
rescue SystemCallError
  sleep 0.4
  retry
end

wait_for_cache
