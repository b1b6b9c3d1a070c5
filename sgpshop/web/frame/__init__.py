"""What every page needs: rights, headers, forms, errors, the wait for money."""
