"""What a program that runs needs: files, folders, processes, signals."""
