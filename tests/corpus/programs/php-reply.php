<?php

function load_settings(string $host): string
{
    $peer = fsockopen($host, 6379);
    return fread($peer, 1);
}

load_settings(getenv('CORPUS_HOST'));
