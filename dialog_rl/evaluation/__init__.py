"""How good an agent is: suites of customers it has never met, statistics that say how sure one may be, and reports."""
