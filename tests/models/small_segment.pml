/* One direction: P's window is open, but smaller than a segment, and P's program has stopped. Does P take one small
   segment more, and then no byte? The rule is lab/proof/stack/silly_window.py.

   A unit is a third of a segment. A packet takes up to one unit of the receive buffer beside its payload, and the judge
   knows that. It is sure that less than 4 units make no window; the kernel's true limit is 4 or 5. */

#define MSS 3
#define NUMBERS 4
#define SURE 4
#define FIRST 6
#ifndef BUFFER
#define BUFFER 11
#endif
#ifndef DATA
#define DATA 7
#endif
#ifndef READS
#define READS 0
#endif
#ifndef SIZES
#define SIZES 0
#endif
#ifndef REACHED
#define REACHED 0                      /* what must be possible at the verdict */
#endif
#ifndef WIDE
#define WIDE(me) (me == 1)             /* data and probes do not overtake each other here, acknowledgments do */
#endif
#define SHARE(space) (space * FIRST / BUFFER)
#define PACKET packet
#define sends_data(me) if :: packet = MSS :: packet = 1 fi
#define MOST(sender) most
byte packet, most;
#include "stack.pml"
#define S 0
#define P 1

bit frozen;                            /* P's program is blocked for good */
unsigned reads : 2;                    /* how often it may still read */
unsigned sizes : 2;                    /* ... and raise its buffer, which tells nobody */
bit of_s, of_p;                        /* what the judge has read; it may read either first */
unsigned s_una : NUMBERS;
unsigned s_nxt : NUMBERS;
unsigned s_wnd : NUMBERS;
unsigned p_rnxt : NUMBERS;
unsigned p_wnd : NUMBERS;

/* Each condition may be left out by a definition: then the rule is unsound, and a run must show it. */
#ifdef NO_LIMIT
#define SMALL(window) ((window) > 0)
#else
#define SMALL(window) (0 < (window) && (window) < MSS)
#endif
#ifdef NO_PERSIST
#define WAITS 1
#else
#define WAITS !FITS(S)                                    /* timer == persist: the head does not fit */
#endif
#ifdef NO_FLIGHT
#define NOTHING_IN_FLIGHT 1
#else
#define NOTHING_IN_FLIGHT (s_una == s_nxt)
#endif
#ifdef NO_SAME_WINDOW
#define SAME_WINDOW 1
#define OFFERS (RWND(P) > 0)
#else
#define OFFERS SMALL(RWND(P))
#define SAME_WINDOW (s_wnd == p_wnd)
#endif
#ifdef NO_COUNTERS
#define COUNTERS_FIT 1
#else
#define COUNTERS_FIT (s_una <= p_rnxt && p_rnxt <= s_nxt) /* in_flight.are_one_connection() */
#endif
#ifdef NO_RECEIVED
#define NONE_RECEIVED 1
#else
#define NONE_RECEIVED (p_rnxt <= s_una)                   /* in_flight.received_unacked() */
#endif
#ifdef NO_MEMORY
#define TAKES_IT 1
#else
#define TAKES_IT (FREE(P) >= RWND(P) + 1)                 /* ROUND_ONE_PACKET */
#endif
#ifdef NO_SHUT
#define STAYS_SHUT 1
#else
#define STAYS_SHUT (FREE(P) < SURE && (!tcp[P].capped || FREE(P) == 0))   /* closed_window.stays_shut_after() */
#endif

inline judge() {
  if
  :: of_s && of_p ->
     if
     :: COUNTERS_FIT && SAME_WINDOW && NOTHING_IN_FLIGHT && NONE_RECEIVED ->
        proven = 1; most = s_una + p_wnd;
        assert(!(REACHED));
        of_s = 0; s_una = 0; s_nxt = 0; s_wnd = 0; of_p = 0; p_rnxt = 0; p_wnd = 0
     :: else -> goto undecided
     fi
  :: else
  fi
}

init {
  begin(S, DATA, BUFFER); begin(P, 0, BUFFER);
  reads = READS; sizes = SIZES;
  if :: least = SURE :: least = SURE + 1 fi;
  if :: packet = MSS :: packet = 1 fi;
#ifdef CLAMPED
  tcp[P].capped = 1;
#endif
  do
  SENDS(S)
  DELIVER(S)
  DELIVER(P)
  ANSWERS(P)
  :: atomic { !frozen && reads > 0 && RQUEUE(P) > 0 -> reads--; read(P, 1, 1) }
  :: atomic { !frozen && reads > 0 && RQUEUE(P) > 1 -> reads--; read(P, RQUEUE(P), 1) }
  :: d_step { !frozen && sizes > 0 -> sizes--; tcp[P].rcvbuf = tcp[P].rcvbuf + 2 }
  :: d_step { !frozen -> frozen = 1; reads = 0; sizes = 0 }
  :: atomic { frozen && !proven && !of_s && SMALL(tcp[S].wnd) && WAITS ->
              of_s = 1; s_una = tcp[S].una; s_nxt = tcp[S].nxt; s_wnd = tcp[S].wnd; judge() }
  :: atomic { frozen && !proven && !of_p && OFFERS && TAKES_IT && STAYS_SHUT ->
              of_p = 1; p_rnxt = tcp[P].rnxt; p_wnd = RWND(P); judge() }
  od;
undecided:
  skip
}
