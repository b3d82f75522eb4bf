sleep 600
exec my-service
