"""Where processes live: this machine today, others over ssh later."""
