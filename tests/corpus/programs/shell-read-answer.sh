migrate() {
    printf 'Apply 3 migrations? [y/N] '
    read -r answer
}
migrate
exec my-service
