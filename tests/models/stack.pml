/* Two TCP stacks and what is on its way between them, as Linux 6.12 to 6.18 does it. Every model includes this file.

   A unit is half a segment (MSS 2). Sequence numbers begin at 1. A segment may be lost, late (any later one overtakes
   it) or doubled. Time is not counted: a timer may fire whenever it runs.

   Left out: SACK and out-of-order queues (what does not follow on is dropped, and acknowledged again), congestion and
   pacing (a stack may always wait), the backlog of a locked socket (no program runs while the judge reads). */

#ifndef SLOTS
#define SLOTS 2      /* segments on their way in one direction */
#endif
#ifndef WIDE
#define WIDE(me) 1   /* whether the way from this end has both places */
#endif
#ifndef MSS
#define MSS 2
#endif
#ifndef PACKET
#define PACKET MSS   /* what the program writes at once */
#endif
#ifndef NUMBERS
#define NUMBERS 3    /* bits of a number */
#endif
#ifndef FLIGHT
#define FLIGHT 2     /* units that congestion control lets out at once */
#endif

typedef Segment {
  bit there; unsigned seq : NUMBERS; unsigned size : 2; unsigned ack : NUMBERS; unsigned wnd : NUMBERS;
  bit fresh;                    /* the judge had an earlier sample of the receiver when it was sent */
  bit plain                     /* it carries no data, and none was sent after it */
}
typedef Link { Segment slot[SLOTS] }
typedef End {
  unsigned una : NUMBERS;       /* SND.UNA */
  unsigned nxt : NUMBERS;       /* SND.NXT */
  unsigned wseq : NUMBERS;      /* one more than the last unit that the program has written */
  unsigned wnd : NUMBERS;       /* SND.WND */
  unsigned wl : NUMBERS;        /* SND.WL1 */
  bit backoff;                  /* icsk_backoff > 0 */
  bit waited;                   /* its timer has sent a probe since it sent data */
  bit answered;                 /* an acknowledgment came after that */
  bit heard;                    /* `fresh` of the last acknowledgment */
  bit plain;                    /* `plain` of it */
  unsigned rnxt : NUMBERS;      /* RCV.NXT */
  unsigned copied : NUMBERS;    /* one more than the last unit that the program has read */
  unsigned wup : NUMBERS;       /* RCV.WUP */
  unsigned edge : NUMBERS;      /* the right edge of the window */
  unsigned rmem : NUMBERS;      /* of the receive buffer: used, and in all */
  unsigned rcvbuf : NUMBERS;
  bit owes;                     /* an acknowledgment is due */
  bit capped                    /* TCP_WINDOW_CLAMP is one unit */
}

End tcp[2];
Link link[2];             /* to end 0, and to end 1 */
byte least = 2;           /* the least free space that makes a window: hidden from the judge */
bit sampled;              /* the judge has an earlier sample of the receiver */
bit proven;               /* the judge has called the state closed */

Segment got, third;       /* the segment that is being received, and room to exchange two: 0 between steps */
byte first, count;        /* ... or sent */
byte space;

#define RWND(me) (tcp[me].edge - tcp[me].rnxt)
#define RQUEUE(me) (tcp[me].rnxt - tcp[me].copied)
#define FLIGHT_OF(me) (tcp[me].nxt - tcp[me].una)
#define QUEUED(me) (tcp[me].wseq - tcp[me].una)
#define FREE(me) (tcp[me].rcvbuf > tcp[me].rmem -> tcp[me].rcvbuf - tcp[me].rmem : 0)
#define MIN(a, b) ((a) < (b) -> (a) : (b))

/* What the model is about: after the verdict nothing moves. */
#ifndef JUDGED
#define JUDGED(sender) 1             /* whether the verdict is about what it sends */
#endif
#ifndef MOST
#define MOST(sender) 0               /* the last unit that may still move after it */
#endif
#ifdef MOVES_BEFORE
#define MOVES(sender, upto) assert(proven || !JUDGED(sender))   /* bytes do move before there is a verdict */
#else
#define MOVES(sender, upto) assert(!(proven) || !JUDGED(sender) || upto <= MOST(sender))
#endif

#ifndef ACKNOWLEDGES
#define ACKNOWLEDGES(sender, upto) MOVES(sender, upto)
#endif
#ifndef BRINGS
#define BRINGS(sender, upto) MOVES(sender, upto)
#endif

#define FORGET(s)  s.there = 0; s.seq = 0; s.size = 0; s.ack = 0; s.wnd = 0; s.fresh = 0; s.plain = 0
#define COPY(to, s)  to.there = 1; to.seq = s.seq; to.size = s.size; to.ack = s.ack; to.wnd = s.wnd; to.fresh = s.fresh; \
  to.plain = s.plain

#ifndef SHARE
#define SHARE(space) space           /* tcp_win_from_space() */
#endif

/* __tcp_select_window(): silly windows are avoided below half of the clamp only. */
inline select_window(me) {
  space = FREE(me);
  if
  :: tcp[me].capped -> space = MIN(space, 1)
  :: !tcp[me].capped && space < least -> space = 0
  :: else -> space = SHARE(space)
  fi
}

/* tcp_select_window(): a window that was offered is not taken back (tcp_shrink_window=0). */
inline offer(me) {
  select_window(me);
  if
  :: tcp[me].rnxt + space > tcp[me].edge -> tcp[me].edge = tcp[me].rnxt + space
  :: else
  fi;
  tcp[me].wup = tcp[me].rnxt;
  space = 0
}

/* Any segment may overtake any other, so their order is no state; and a doubled one need not be there twice. */
#define NUMBER(s)  (((((s.seq * 8 + s.size) * 8 + s.ack) * 8 + s.wnd) * 2 + s.fresh) * 2 + s.plain)
#define SORT(l) \
  if \
  :: !l.slot[1].there -> skip \
  :: l.slot[1].there && !l.slot[0].there -> COPY(l.slot[0], l.slot[1]); FORGET(l.slot[1]) \
  :: l.slot[0].there && l.slot[1].there && NUMBER(l.slot[0]) == NUMBER(l.slot[1]) -> FORGET(l.slot[1]) \
  :: else -> if \
     :: NUMBER(l.slot[0]) > NUMBER(l.slot[1]) -> \
        COPY(third, l.slot[0]); COPY(l.slot[0], l.slot[1]); COPY(l.slot[1], third); FORGET(third) \
     :: else fi \
  fi

#ifndef PLAIN
#define PLAIN (count == 0)
#endif
#define PUT(s, me) \
  s.there = 1; s.seq = first; s.size = count; s.ack = tcp[me].rnxt; s.wnd = RWND(me); s.fresh = sampled; \
  s.plain = PLAIN

/* tcp_transmit_skb() of `count` units from `first` on: every segment acknowledges and offers. One for which there is no
   place on the way is lost. */
inline transmit(me) {
  offer(me);
  transmit_as_it_is(me)
}

inline transmit_as_it_is(me) {
  if
  :: !link[1 - me].slot[0].there -> PUT(link[1 - me].slot[0], me)
  :: WIDE(me) && link[1 - me].slot[0].there && !link[1 - me].slot[1].there -> PUT(link[1 - me].slot[1], me); SORT(link[1 - me])
  :: else
  fi;
  tcp[me].owes = 0; first = 0; count = 0
}

#ifndef answered_by
#define answered_by(me) skip /* what it makes of an acknowledgment that was heard */
#endif
#ifndef WAITED
#define WAITED 0             /* whether it asks for answered probes */
#endif
#ifndef sends_data
#define sends_data(me) skip  /* what the model makes of data that an end sends, for the first time or again */
#endif
#ifndef refused
#define refused(me) skip     /* what the model makes of a rise of `drops` */
#endif

/* tcp_sequence() against the window of now; before 6.17, and from 7.0 on, what begins within it is taken. */
#ifdef DROPS_BEYOND
#define BEYOND(me) (got.seq + got.size > tcp[me].edge && (got.seq > tcp[me].edge || RQUEUE(me) > 0))
#else
#define BEYOND(me) (got.seq > tcp[me].edge)
#endif

/* tcp_validate_incoming(), tcp_ack(), tcp_data_queue() */
inline receive(me) {
  if
  :: got.seq + got.size < tcp[me].wup || BEYOND(me) -> tcp[me].owes = 1   /* with its acknowledgment */
  :: else ->
     acknowledged(me);
     if
     :: got.size == 0
     :: got.size > 0 && (got.seq + got.size <= tcp[me].rnxt || got.seq > tcp[me].rnxt || RWND(me) == 0) ->
        tcp[me].owes = 1                                                 /* old, or out of order, or refused */
     :: else -> take(me)
     fi
  fi;
  FORGET(got)
}

/* tcp_ack(): an old one changes nothing. tcp_ack_update_window(): of two that acknowledge the same, and came in the
   same segment's place, the larger window counts, or none. */
inline acknowledged(me) {
  if
  :: got.ack < tcp[me].una || got.ack > tcp[me].nxt
  :: else ->
     if
     :: got.ack > tcp[me].una || got.seq > tcp[me].wl ||
        (got.seq == tcp[me].wl && (got.wnd > tcp[me].wnd || got.wnd == 0)) ->
        if
        :: got.wnd > 0 && QUEUED(me) > 0 -> tcp[me].backoff = 0           /* tcp_ack_probe() */
        :: else
        fi;
        tcp[me].wnd = got.wnd; tcp[me].wl = got.seq
     :: else
     fi;
     if
     :: got.ack > tcp[me].una ->
        ACKNOWLEDGES(me, got.ack);
        tcp[me].una = got.ack;
        if :: tcp[me].backoff = 0 :: skip fi                               /* Karn: no sample, no reset */
     :: else
     fi;
     answered_by(me)
  fi
}

/* A packet is taken whole or not at all. One may take more memory than its payload; then tcp_prune_queue() may collapse
   what is there. If there is no memory all the same, it is dropped and no window is offered (ICSK_ACK_NOMEM), unless it
   is alone: then it is taken, and no window is offered. Below 6.12 it is dropped, and nobody is told. */
inline take(me) {
  space = got.seq + got.size - tcp[me].rnxt;
  if :: skip :: space++ fi;
  if
  :: tcp[me].rmem + space > tcp[me].rcvbuf -> if :: tcp[me].rmem = RQUEUE(me) :: skip fi
  :: else
  fi;
  if
  :: tcp[me].rmem + space > tcp[me].rcvbuf && RQUEUE(me) > 0 ->
#ifndef NEVER_RETREATS
     tcp[me].edge = tcp[me].rnxt; tcp[me].wup = tcp[me].rnxt;
     first = tcp[me].nxt; transmit_as_it_is(me);
#endif
     refused(me)
  :: else ->
     BRINGS(1 - me, got.seq + got.size);
     tcp[me].rmem = tcp[me].rmem + space; tcp[me].rnxt = got.seq + got.size;
     if
     :: tcp[me].edge < tcp[me].rnxt || tcp[me].rmem > tcp[me].rcvbuf -> tcp[me].edge = tcp[me].rnxt
     :: else
     fi;
     tcp[me].owes = 1
  fi;
  space = 0
}

/* tcp_acceptable_seq(): a pure acknowledgment carries SND.NXT, or the peer's edge if that is a whole UNIT back. */
#ifndef UNIT
#define UNIT 1
#endif
#define EDGE_OF_PEER(me) (tcp[me].una + tcp[me].wnd)
#define ACK_SEQ(me) ((tcp[me].nxt <= EDGE_OF_PEER(me) || tcp[me].nxt - EDGE_OF_PEER(me) < UNIT) -> tcp[me].nxt : EDGE_OF_PEER(me))

/* The program's reads. tcp_cleanup_rbuf() tells at once of a window that has doubled, but not after shutdown(SHUT_RD). */
inline read(me, units, telling) {
  tcp[me].copied = tcp[me].copied + units;
  if
  :: RQUEUE(me) == 0 -> tcp[me].rmem = 0
  :: else -> tcp[me].rmem = tcp[me].rmem - units
  fi;
  select_window(me);
  if
  :: telling && space > 0 && space >= 2 * RWND(me) -> first = ACK_SEQ(me); transmit(me)
  :: else
  fi;
  space = 0
}

#define HEAD(me) MIN(PACKET, tcp[me].wseq - tcp[me].nxt)
#define FITS(me) (tcp[me].nxt + HEAD(me) <= tcp[me].una + tcp[me].wnd)

#ifndef CWND
#define CWND(me) FLIGHT
#endif
#define CAN_SEND(me) (tcp[me].nxt < tcp[me].wseq && FLIGHT_OF(me) < CWND(me) && FITS(me))
inline send_head(me) {
  first = tcp[me].nxt; tcp[me].nxt = tcp[me].nxt + count; tcp[me].waited = 0; tcp[me].answered = 0;
  sends_data(me);
  transmit(me)
}

/* The persist timer, tcp_write_wakeup(): what fits, in one packet, or a probe without data, of an old number. */
#define CAN_PROBE(me) (FLIGHT_OF(me) == 0 && tcp[me].nxt < tcp[me].wseq && !FITS(me))
inline probe(me) {
  if
  :: tcp[me].wnd == 0 -> first = tcp[me].una - 1; tcp[me].backoff = 1; tcp[me].waited = WAITED; transmit(me)
  :: else -> count = tcp[me].wnd; send_head(me)
  fi
}

/* tcp_retransmit_timer(): the head, also into a closed window. */
#ifndef EXPIRED
#define EXPIRED(me) 1        /* whether the timer may fire */
#endif
#ifndef MAY_STAY
#define MAY_STAY(me) 0       /* whether small packets may stay as they are, and tcp_retrans_try_collapse() does nothing */
#endif
#define CAN_RETRANSMIT(me) (FLIGHT_OF(me) > 0 && EXPIRED(me))
inline retransmit(me) {
  first = tcp[me].una;
  if
  :: count = MIN(MSS, FLIGHT_OF(me))
  :: MAY_STAY(me) && FLIGHT_OF(me) > PACKET -> count = PACKET
  fi;
  tcp[me].backoff = 1; tcp[me].waited = 0; tcp[me].answered = 0;
  sends_data(me);
  transmit(me)
}

/* What the two stacks and the network may do at any time. */
#define PICK(to, n)  link[to].slot[n].there -> COPY(got, link[to].slot[n])
#define DELIVER(to) \
  :: atomic { link[to].slot[0].there -> \
              if \
              :: PICK(to, 0); if :: FORGET(link[to].slot[0]); SORT(link[to]) :: skip /* doubled */ fi \
              :: PICK(to, 1); if :: FORGET(link[to].slot[1]) :: skip fi \
              fi; \
              if :: receive(to) :: FORGET(got) /* lost */ fi }

#define SENDS(me) \
  :: atomic { CAN_SEND(me) -> count = HEAD(me); send_head(me) } \
  :: atomic { CAN_PROBE(me) -> probe(me) } \
  :: atomic { CAN_RETRANSMIT(me) -> retransmit(me) }

#define ANSWERS(me) \
  :: atomic { tcp[me].owes -> first = ACK_SEQ(me); transmit(me) }

#ifndef FIRST
#define FIRST BUFFER  /* the first window of either end */
#endif
inline begin(me, bytes, buffer) {
  tcp[me].una = 1; tcp[me].nxt = 1; tcp[me].wseq = 1 + bytes; tcp[me].wl = 1;
  tcp[me].rnxt = 1; tcp[me].copied = 1; tcp[me].wup = 1; tcp[me].rcvbuf = buffer;
  tcp[me].edge = 1 + FIRST; tcp[1 - me].wnd = FIRST
}
