/* Both directions: S's window is closed with something unread, and P's data lies beyond it. Does no acknowledgment of P
   reach S any more? The rule is ack_starvation.starved_writer(). READER asks whether nothing new reaches P.

   P's window scale counts in UNITs. The judge is sure that less than 2 units make no window; the kernel's true limit is
   2 or 3. */

#ifndef REACHED
#define REACHED 0                      /* what must be possible at the verdict */
#endif
#ifndef UNIT
#define UNIT 2
#endif
#ifndef DATA
#define DATA 2
#endif
#ifndef ANSWER
#define ANSWER 4
#endif
#ifndef BUFFER
#define BUFFER 3
#endif
#ifndef READS
#define READS 0
#endif
#ifndef FROM_7_0
#define DROPS_BEYOND
#endif
#ifdef NARROW
#define WIDE(me) 0                     /* nothing overtakes anything */
#else
#define WIDE(me) (me == 1)             /* what P sends may be overtaken */
#endif
#ifdef PROMPT
#define EXPIRED(me) (!link[1 - me].slot[0].there)  /* nothing is under way for as long as a time-out */
#endif
/* P's last data is older than its time-out, at both readings: neither it nor what was sent before is under way. */
#ifdef NO_TIME_OUT
#define TIME_OUT 0
#else
#define TIME_OUT 1
#endif
#define IS_OLDER(s) (s.there && !s.plain)
#define IS_SILENT (!TIME_OUT || (!IS_OLDER(link[S].slot[0]) && !IS_OLDER(link[S].slot[1])))
#define sends_data(me) \
  link[1 - me].slot[0].plain = 0; link[1 - me].slot[1].plain = 0; \
  if :: TIME_OUT && me == P && of_s && !of_p -> forget() :: else fi
#define CWND(me) (tcp[me].backoff -> 1 : FLIGHT)   /* after a time-out: tcp_enter_loss() */
#define MAY_STAY(me) (me == 1)
#define JUDGED(sender) (sender == 0)
#ifdef READER
#define ACKNOWLEDGES(sender, upto) skip
#else
#define BRINGS(sender, upto) skip
#endif
#define S 0
#define P 1
#include "stack.pml"

bit frozen;                            /* both programs are blocked for good */
unsigned reads : 2;                    /* how often it may still read */
bit of_s, of_p;                        /* what the judge has read; it may read either first */
unsigned s_una : NUMBERS;
unsigned s_nxt : NUMBERS;
unsigned s_rnxt : NUMBERS;
bit s_probes;                          /* nothing is in flight, and the peer's window is closed */
unsigned p_una : NUMBERS;
unsigned p_nxt : NUMBERS;
unsigned p_rnxt : NUMBERS;

/* Each condition may be left out by a definition: then the rule is unsound, and a run must show it. */
#ifdef NO_BACKOFF
#define TIMED_OUT 1
#else
#define TIMED_OUT tcp[S].backoff
#endif
#ifdef NO_CLOSED
#define CLOSED 1
#else
#define CLOSED (RWND(S) == 0)
#endif
#ifdef NO_UNREAD
#define UNREAD 1
#else
#define UNREAD (RQUEUE(S) > 0)
#endif
#ifdef NO_SHUT
#define STAYS_CLOSED 1
#else
#define STAYS_CLOSED (FREE(S) < 2 && (!tcp[S].capped || FREE(S) == 0))  /* closed_window.stays_closed() */
#endif
#define KNOWN(rnxt, una) (rnxt > una -> rnxt : una)
#ifdef NO_BEYOND
#define BEYOND_IT 1
#else
#ifdef NO_HEAD
#define HEAD_BEYOND 1
#else
#define HEAD_BEYOND (s_rnxt <= p_una || p_nxt - p_una <= PACKET)  /* high == 0 or unacked == 1 */
#endif
#define BEYOND_IT (p_nxt > KNOWN(s_rnxt, p_una) && HEAD_BEYOND)  /* flight - high >= 1 */
#endif
#ifdef NO_UNIT
#define WITHIN_A_UNIT 1
#else
#define WITHIN_A_UNIT (p_nxt - p_una < UNIT)              /* tcp_acceptable_seq() */
#endif
#ifdef NO_COUNTERS
#define COUNTERS_FIT 1
#else
#define COUNTERS_FIT (s_una <= p_rnxt && p_rnxt <= s_nxt && p_una <= s_rnxt && s_rnxt <= p_nxt)
#endif
#if defined(READER) && !defined(NO_REPEATS)
#define ONLY_REPEATS (s_probes || (s_una < s_nxt && s_nxt <= p_rnxt))   /* ack_starvation._only_repeats() */
#else
#define ONLY_REPEATS 1
#endif

inline forget() {
  of_s = 0; s_una = 0; s_nxt = 0; s_rnxt = 0; s_probes = 0; of_p = 0; p_una = 0; p_nxt = 0; p_rnxt = 0
}

inline judge() {
  if
  :: of_s && of_p ->
     if
     :: COUNTERS_FIT && BEYOND_IT && WITHIN_A_UNIT && ONLY_REPEATS -> proven = 1; assert(!(REACHED)); forget()
     :: else -> goto undecided
     fi
  :: else
  fi
}

init {
  begin(S, DATA, BUFFER); begin(P, ANSWER, BUFFER);
  reads = READS;
  if :: least = 2 :: least = 3 fi;
  do
  SENDS(S)
  SENDS(P)
  DELIVER(S)
  DELIVER(P)
  ANSWERS(S)
  ANSWERS(P)
  :: atomic { !frozen && reads > 0 && RQUEUE(S) > 0 -> reads--; read(S, 1, 1) }
  :: atomic { !frozen && RQUEUE(P) > 0 -> read(P, RQUEUE(P), 1) }
  :: d_step { !frozen -> frozen = 1; reads = 0 }
  :: atomic { frozen && !proven && !of_s && TIMED_OUT && IS_SILENT && CLOSED && UNREAD && STAYS_CLOSED ->
              of_s = 1; s_una = tcp[S].una; s_nxt = tcp[S].nxt; s_rnxt = tcp[S].rnxt;
              s_probes = FLIGHT_OF(S) == 0 && tcp[S].wnd == 0; judge() }
  :: atomic { frozen && !proven && !of_p && IS_SILENT ->
              of_p = 1; p_una = tcp[P].una; p_nxt = tcp[P].nxt; p_rnxt = tcp[P].rnxt; judge() }
  od;
undecided:
  skip
}
