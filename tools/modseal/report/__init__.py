"""Results to text, JSON and SARIF. Every sentence that a person reads about a result is made here."""
