sleep 600 &
sleep 601 &
wait
exec my-service
