"""What every folder of model/ uses: options, errors, hashes, files, tables, command lines. No torch here."""
