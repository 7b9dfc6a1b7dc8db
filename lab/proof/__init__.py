"""From evidence to verdict. Pure: the same evidence gives the same verdict, any time and anywhere.

* `judge`: the verdict. The way in.
* `premises`: all that a proof rests on, as a table.
* `connection_view`: the evidence of one connection, as every rule needs it.
* `threads`: which threads were blocked all the time, and in what. `enablers`: what could end a wait.
* `stack/`: what the two TCP stacks could still do without any program.
* `deadlock`: the wait-for graph: the live, the stuck, and the knots among the stuck. `cycles`: those knots.
* `standstill`: which kind of standstill it is, if no deadlock is proven. `livelock`: whether a program retries in vain.
* `account`: where every payload byte lies, as a check.
"""
