def connect(settings)
  settings.fetch(:database).fetch(:url)
end

connect({ database: { pool: 5 } })
