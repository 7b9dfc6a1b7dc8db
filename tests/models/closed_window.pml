/* One direction: S has sent all that it may, P's program has read and sized its buffer as it liked, and then stopped.
   Is P's window closed for good? The rules are lab/proof/stack/closed_window.py, history.py and in_flight.py.

   Below Linux 6.2 (UNSEEN) the judge does not see P's window: unseen_window.py.

   A unit of the judge's doubt stands for what it cannot know: the share of the buffer that makes a window. It is sure
   that less than 2 units make none; the kernel's true limit is 2 or 3. */

#define REFUSED (s_una < s_nxt)        /* something is in flight, and was refused */
#ifndef REACHED
#define REACHED 0                      /* what must be possible at the verdict */
#endif
#ifndef DATA
#define DATA 4
#endif
#ifndef BUFFER
#define BUFFER 3
#endif
#ifndef READS
#define READS 1
#endif
#ifndef SIZES
#define SIZES 1
#endif
#ifndef RAISE
#define RAISE 1                        /* by how much P's program may raise its buffer at once */
#endif
#ifdef UNSEEN
#define NEVER_RETREATS                 /* Linux below 6.2 */
#define NO_RCV_WND
#endif
#ifndef PEER_WRITES
#define PEER_WRITES 0                  /* units of data that P's program has written */
#endif
#if PEER_WRITES
#define JUDGED(sender) (sender == 0)
#define sends_data(me) no_answer(me)
#define PLAIN (count == 0 || of_p)     /* of what P sends after it was read, the judge does not learn */
#endif
#if defined(ANSWERED_PROBE) || defined(UNSEEN)
#define WAITED 1
#define answered_by(me) \
  tcp[me].answered = ANY_ANSWER | tcp[me].answered | tcp[me].waited; tcp[me].heard = HEARD; \
  tcp[me].plain = got.plain && PEER_WRITES && me == 0
#ifdef HEARD_ON_ARRIVAL
#define HEARD sampled
#else
#define HEARD got.fresh
#endif
#ifndef ANY_ANSWER
#define ANY_ANSWER 0
#endif
#endif
#if defined(SEEN_TO_CLOSE) && !defined(NO_DROPS)
#define refused(me) opened_copied = 0; opened_rcvbuf = 0      /* `drops` is another than it was */
#endif
#ifdef NARROW
#define WIDE(me) 0                     /* nothing overtakes anything */
#endif
#ifndef WIDE
#define WIDE(me) (me == 1)             /* data and probes do not overtake each other here, acknowledgments do */
#endif
#include "stack.pml"
#define S 0
#define P 1

bit frozen;              /* P's program is blocked for good */
bit locked;              /* it has set SO_RCVBUF: rcvbuf_locked */
bit raised;              /* ... beyond what the window's share was made for */
bit shut;                /* shutdown(SHUT_RD) */
unsigned reads : 2;                    /* how often it may still do so */
unsigned sizes : 2;
unsigned opened_copied : NUMBERS;      /* P in the last sample with an open window; 0: none */
unsigned opened_rcvbuf : NUMBERS;
unsigned was_rcvbuf : NUMBERS;         /* P in the sample from which on it has been the same */
unsigned was_rmem : NUMBERS;
unsigned was_rnxt : NUMBERS;
unsigned was_copied : NUMBERS;

bit of_s, of_p;                        /* what the judge has read; it may read either first */
unsigned s_una : NUMBERS;
unsigned s_nxt : NUMBERS;
bit s_backoff;
unsigned p_rnxt : NUMBERS;

/* An earlier sample of P: what history.py folds. Of all that are taken one, or two, can matter. */
#if defined(ANSWERED_PROBE) || defined(UNSEEN)
#define MAY_SAMPLE !sampled
#elif defined(SEEN_TO_CLOSE)
#define MAY_SAMPLE (!sampled && (opened_rcvbuf == 0 -> OPEN : CLOSED_AS_IT_WAS_OPEN))
#define OPEN (RWND(P) > 0 && RQUEUE(P) > 0)
#define CLOSED_AS_IT_WAS_OPEN (RWND(P) == 0 && opened_copied == tcp[P].copied && opened_rcvbuf == tcp[P].rcvbuf)
#else
#define MAY_SAMPLE 0
#endif
inline sample() {
#ifdef SEEN_TO_CLOSE
  if
  :: opened_rcvbuf == 0 -> opened_copied = tcp[P].copied; opened_rcvbuf = tcp[P].rcvbuf
  :: else -> opened_copied = 0; opened_rcvbuf = 0; sampled = 1;
     was_rnxt = tcp[P].rnxt; was_copied = tcp[P].copied; was_rcvbuf = tcp[P].rcvbuf; was_rmem = tcp[P].rmem
  fi
#else
  sampled = 1; was_rnxt = tcp[P].rnxt; was_copied = tcp[P].copied; was_rcvbuf = tcp[P].rcvbuf; was_rmem = tcp[P].rmem
#endif
}

/* A sample sees every size of P's buffer: history._seen_to_close(). */
inline resized() {
#ifndef NO_RESET
  opened_copied = 0; opened_rcvbuf = 0
#else
  skip
#endif
}

/* P sends data: nothing that it has sent before was sent after its last data. */
inline no_answer(me) {
  if
  :: me == P && !of_p ->
     tcp[S].plain = 0;
     link[S].slot[0].plain = 0; link[S].slot[1].plain = 0;
     SORT(link[S]);
     if :: of_s -> of_s = 0; s_una = 0; s_nxt = 0; s_backoff = 0 :: else fi
  :: else
  fi
}

/* Each condition may be left out by a definition: then the rule is unsound, and a run must show it. */
#ifdef NO_RCV_WND
#define PEER_OFFERS_NONE 1
#else
#define PEER_OFFERS_NONE (RWND(P) == 0)                   /* closed_window.opening(): WINDOW_OPEN */
#endif
#ifdef NO_SND_WND
#define SENDER_KNOWS 1
#else
#define SENDER_KNOWS (tcp[S].wnd == 0)                    /* closed_window.opening(): CLOSING_NOT_HEARD */
#endif
#ifdef NO_COUNTERS
#define COUNTERS_FIT 1
#else
#define COUNTERS_FIT (s_una <= p_rnxt && p_rnxt <= s_nxt) /* in_flight.are_one_connection() */
#endif
#ifdef NO_BACKOFF
#define WAS_SENT_AGAIN 1
#else
#define WAS_SENT_AGAIN s_backoff                          /* in_flight.in_motion(): NOT_YET_REFUSED */
#endif
#ifdef NO_RECEIVED
#define NONE_OF_IT_ARRIVED 1
#else
#define NONE_OF_IT_ARRIVED (p_rnxt <= s_una)              /* in_flight.in_motion(): ACKNOWLEDGMENT_UNDER_WAY */
#endif
#ifdef NO_FLIGHT
#define NOTHING_IN_FLIGHT 1
#else
#define NOTHING_IN_FLIGHT (s_una == s_nxt)
#endif
#define NOT_IN_MOTION (s_una == s_nxt || (WAS_SENT_AGAIN && NONE_OF_IT_ARRIVED))
#ifdef NO_CLAMP
#define BELOW_CLAMP 1
#else
#define BELOW_CLAMP (!tcp[P].capped || FREE(P) == 0)      /* closed_window.is_below_the_clamp() */
#endif
#ifdef LOOSE
#define SURE 3
#else
#define SURE 2
#endif
#define STAYS_CLOSED (FREE(P) < SURE && BELOW_CLAMP)      /* closed_window.stays_closed() */
#ifdef NO_TOO_LITTLE
#define TOO_LITTLE 1
#else
#define TOO_LITTLE (FREE(P) < (raised -> 4 : 3))          /* closed_window._is_too_little(): less strict once raised */
#endif
#ifdef NO_CONTENT
#define SAME_CONTENT 1
#else
#define SAME_CONTENT (was_rnxt == tcp[P].rnxt && was_copied == tcp[P].copied)
#endif
#define SAME (sampled && was_rcvbuf == tcp[P].rcvbuf && was_rmem == tcp[P].rmem && SAME_CONTENT)
#ifdef NO_AS_IT_WAS
#define AS_IT_WAS_OF_S 1
#define AS_IT_WAS_OF_P 1
#else
#define AS_IT_WAS_OF_S (!locked || tcp[S].heard)          /* closed_window.is_as_it_was(); without it the verdict is */
#define AS_IT_WAS_OF_P (!locked || SAME)                  /* qualified, unless SO_RCVBUF was never set */
#endif
#ifdef BARE
#define HEARD_SAME_OF_S 1
#define HEARD_SAME_OF_P 1
#else
#define HEARD_SAME_OF_S tcp[S].heard                      /* closed_window.is_as_it_was() */
#define HEARD_SAME_OF_P SAME
#endif
#ifdef NO_ANSWER
#define ANSWERED 1
#else
#define ANSWERED tcp[S].answered                          /* closed_window.was_answered() */
#endif

#ifdef ANY_SEGMENT
#define BY_NO_DATA 1
#elif PEER_WRITES
#define BY_NO_DATA tcp[S].plain                           /* unseen_window._by_no_data() */
#else
#define BY_NO_DATA 1
#endif

#if defined(ANY_SEGMENT) || defined(ANY_FLIGHT)
#define NOTHING_TO_SEND_AGAIN 1
#else
#define NOTHING_TO_SEND_AGAIN (FLIGHT_OF(P) == 0)         /* the same */
#endif

/* Each way to know that the window stays closed is a run of its own. */
#if defined(UNSEEN) && defined(ANSWERED_PROBE)                  /* R3: the buffer as it was since before the answer */
#define S_SAYS (ANSWERED && BY_NO_DATA && HEARD_SAME_OF_S)
#define P_SAYS (HEARD_SAME_OF_P && NOTHING_TO_SEND_AGAIN && BELOW_CLAMP)
#elif defined(UNSEEN) && defined(BY_SCALE)                        /* R2: the kernel's own choice, made again */
#define S_SAYS AS_IT_WAS_OF_S
#define P_SAYS (AS_IT_WAS_OF_P && FREE(P) < (tcp[P].capped -> 1 : least))
#elif defined(UNSEEN)                                             /* R1 */
#define S_SAYS AS_IT_WAS_OF_S
#define P_SAYS (AS_IT_WAS_OF_P && STAYS_CLOSED)
#elif defined(ANSWERED_PROBE)
#define S_SAYS (ANSWERED && AS_IT_WAS_OF_S)
#define P_SAYS (AS_IT_WAS_OF_P && BELOW_CLAMP && TOO_LITTLE)
#elif defined(SEEN_TO_CLOSE)
#define S_SAYS 1
#define P_SAYS (SAME && BELOW_CLAMP && TOO_LITTLE)
#elif defined(BOTH_WINDOWS_0)
#define S_SAYS 1
#define P_SAYS 1
#else
#define S_SAYS 1
#define P_SAYS STAYS_CLOSED
#endif
#if defined(BOTH_WINDOWS_0)
#define TOGETHER 1
#elif defined(UNSEEN)                                             /* unseen_window.opening() */
#define TOGETHER (COUNTERS_FIT && NOTHING_IN_FLIGHT && p_rnxt <= s_una)
#else
#define TOGETHER (COUNTERS_FIT && NOT_IN_MOTION)
#endif

inline read_s() {
  of_s = 1; s_una = tcp[S].una; s_nxt = tcp[S].nxt; s_backoff = tcp[S].backoff
}

inline read_p() {
  of_p = 1; p_rnxt = tcp[P].rnxt
}

inline forget() {
  of_s = 0; s_una = 0; s_nxt = 0; s_backoff = 0; of_p = 0; p_rnxt = 0;
  sampled = 0; was_rcvbuf = 0; was_rmem = 0; was_rnxt = 0; was_copied = 0; raised = 0; locked = 0;
  tcp[S].heard = 0; tcp[S].answered = 0; tcp[S].plain = 0
}

inline judge() {
  if
  :: of_s && of_p ->
     if
     :: TOGETHER -> proven = 1; assert(!(REACHED)); forget()
     :: else -> goto undecided
     fi
  :: else
  fi
}

#ifdef UNFROZEN
#define MAY_ACT 1
#define MAY_JUDGE !proven
#else
#define MAY_ACT !frozen
#define MAY_JUDGE (frozen && !proven)
#endif
init {
  begin(S, DATA, BUFFER); begin(P, PEER_WRITES, BUFFER);
  reads = READS; sizes = SIZES;
  if :: least = 2 :: least = 3 fi;
#ifdef CLAMPED
  tcp[P].capped = 1;
#endif
  do
  SENDS(S)
#if PEER_WRITES
  SENDS(P)
  ANSWERS(S)
#endif
  DELIVER(S)
  DELIVER(P)
  ANSWERS(P)
  :: atomic { MAY_ACT && reads > 0 && RQUEUE(P) > 0 -> reads--; read(P, 1, !shut) }
  :: atomic { MAY_ACT && reads > 0 && RQUEUE(P) > 1 -> reads--; read(P, RQUEUE(P), !shut) }
  :: d_step { MAY_ACT && sizes > 0 -> sizes--; locked = 1; raised = 1; tcp[P].rcvbuf = tcp[P].rcvbuf + RAISE; resized() }
  :: d_step { MAY_ACT && sizes > 0 && tcp[P].rcvbuf > 2 -> sizes--; locked = 1; tcp[P].rcvbuf = tcp[P].rcvbuf - 2; resized() }
#ifdef CLAMP_LOWERED
  :: d_step { MAY_ACT && !tcp[P].capped -> tcp[P].capped = 1 }
#endif
#ifdef SHUT_DOWN
  :: d_step { MAY_ACT && !shut -> shut = 1 }
#endif
  :: atomic { MAY_ACT && MAY_SAMPLE -> sample() }
#ifndef UNFROZEN
  :: d_step { !frozen -> frozen = 1; reads = 0; sizes = 0; shut = 0; opened_copied = 0; opened_rcvbuf = 0 }
#endif
  :: atomic { MAY_JUDGE && !of_s && SENDER_KNOWS && S_SAYS -> read_s(); judge() }
  :: atomic { MAY_JUDGE && !of_p && PEER_OFFERS_NONE && P_SAYS -> read_p(); judge() }
  od;
undecided:
  skip
}
