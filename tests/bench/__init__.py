"""Measures the workflow on the embedded stack, beside what the same work costs without it: ``make bench``.

It is here, and not at the top level, because it brings up, uses and looks at a stack as the tests do. A module for each
thing that is measured:

    throughput     files through a stack that is up, beside plain copies and bare executions
    destinations   one file to ever more destinations, and what each would be billed for
    parts          a large file, copied in parts
    starts         what a function has to import before its first event, and its package
    billing        what one file uses of AWS, counted from its execution, its record and the functions' logs
    prices         what that costs, and what AWS's own ways to copy cost

Machines differ and are shared, so what counts is the ratio to what was measured right beside it, not the times.
"""
