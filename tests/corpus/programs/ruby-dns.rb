require "socket"

def find_database
  Addrinfo.getaddrinfo("db.shop.internal", 5432)
end

find_database
