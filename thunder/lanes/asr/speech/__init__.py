"""The stand-in for recorded speech: sentences, spoken by a synthesizer."""
