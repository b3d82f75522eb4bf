<?php

use Shop\Store;

function run(string $path): void
{
    $store = Store::make($path);
    $store->open(3);
}

run($argv[1]);
