// Backends that are added and removed, fail, change and are restarted, and the pool's end: what is published, what calls
// get, which instance serves and when the old one goes.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { errorReply, isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { bench, CHANGED, ready, starting } from "./backend-pool-bench.ts";
import { stories } from "./pool-words.ts";
import { backendConfig, callOf, createClient, errorText, fromInstance } from "./scripted-instance.ts";

describe("added", () => {
  it("B7 twenty that are added at once are started one by one, and calls continue in between", async () => {
    const b = await ready();
    b.apply(backendConfig("a"), ...Array.from({ length: 20 }, (_, at) => backendConfig(`b${at}`)));
    const before: number[] = [];
    for (let at = 0; b.starts() < 21 && at < 100; at++) {
      before.push(b.starts());
      await new Promise(setImmediate);
      assert.ok(b.starts() - (before.at(-1) ?? 0) <= 1, "each has a turn of its own");
      const call = b.call();
      b.script.started[0]?.answer();
      assert.equal(fromInstance(await call), 1);
    }
    assert.equal(b.starts(), 21);
  });

  it("B6 settled waits only for first attempts: ready and failed ones are settled", async () => {
    const b = bench();
    let isSettled = false;
    b.apply(backendConfig("a"), backendConfig("b"));
    const { signal } = new AbortController();
    void b.pool.whenStarted(signal).then(() => {
      isSettled = true;
    });
    await settle();
    b.script.started[0]?.becomeReady();
    await settle();
    assert.equal(isSettled, false);
    b.script.started[1]?.endWith("no such program");
    await settle();
    assert.equal(isSettled, true);
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  it("a listener that throws delays no step", async () => {
    const b = await ready();
    b.pool.onPublished(() => assert.fail("a mistake"));
    await b.replaced(CHANGED, "two");
    assert.equal(b.script.started[0]?.isClosed, true);
    assert.deepEqual(b.names(), ["two"]);
  });

  it("settled ends when its signal aborts", async () => {
    const b = bench();
    b.apply(backendConfig("a"));
    const impatient = new AbortController();
    const settled = b.pool.whenStarted(impatient.signal);
    impatient.abort();
    await settled;
  });

  it("B7 published keeps the file's order and its identity until it changes", async () => {
    const b = bench();
    await b.applied(backendConfig("x"), backendConfig("y"));
    b.script.started[1]?.becomeReady("of y");
    await settle();
    b.script.started[0]?.becomeReady("of x");
    await settle();
    assert.deepEqual(b.names(), ["of x", "of y"]);
    const before = b.pool.published;
    await b.applied(backendConfig("x"), backendConfig("y"));
    assert.equal(b.pool.published, before);
    b.apply(backendConfig("y"), backendConfig("x"));
    b.is({ names: ["of y", "of x"], starts: 2 });
  });
});

describe("all together", () => {
  it("the log level reaches every instance, and every new one", async () => {
    const b = await ready();
    b.pool.setLogLevel("debug");
    assert.equal(b.script.last.level, "debug");
    await b.applied(backendConfig("a"), backendConfig("b"));
    assert.equal(b.script.last.level, "debug");
  });

  it("log lines are kept after the end", async () => {
    const b = await starting();
    await b.dies("no such program");
    assert.deepEqual(b.pool.logLines("a"), ["line of 1"]);
    assert.equal(b.pool.logLines("nobody"), null);
  });

  it("ending stops every address probe", async () => {
    const connection = { type: "streamable-http", url: "http://127.0.0.1:9/mcp", headers: {} } as const;
    const b = await starting(backendConfig("a", { connection }));
    b.script.last.failWith({ kind: "unreachable", message: "refused", hint: null, isUnreachable: true });
    await settle();
    await b.pool[Symbol.asyncDispose]();
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("ending waits for a backend's own calls only", async () => {
    const b = bench();
    await b.applied(backendConfig("a"), backendConfig("b"));
    const [one, other] = b.script.started;
    one?.becomeReady("one");
    other?.becomeReady("other");
    await settle();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([one?.isClosed, other?.isClosed], [false, true]);
    await b.clock.advance(3_000);
    assert.equal(errorText(await call), "the gateway is stopping");
    await disposed;
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("ending waits as long as the last call takes, and is bounded when a close hangs", async () => {
    const b = await ready();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    b.script.last.answer();
    await call;
    await settle();
    assert.equal(b.script.last.isClosed, true);
    await disposed;

    const hanging = await ready();
    hanging.script.closeGate = new Promise(() => {});
    const ended = hanging.pool[Symbol.asyncDispose]();
    await hanging.clock.advance(5_000);
    await ended;
  });
});

describe("added and removed", () => {
  stories(`
B7 a server is published when it is ready, and one that hangs delays no other
  a pool, applied slow a: slow is Initializing, a is Initializing
  up one two: names one two, published one two, a is Ready, slow is Initializing, events ready
a call of an entry that is not ready yet fails at once, and one of an unknown name says so
  a server that starts, call x: x fails "server a is unavailable: it is being started"; call y of nobody: y fails "…no server of the name nobody…"
B7 its published entries disappear within apply, its calls finish, then it is closed and gone
  a server, call x, at once applied nothing: no names; call y: y fails "…was removed…", ShuttingDown, 1 drain
  not restarted, 10 s: 1 is open; answers: x is from 1, 1 is closed, nothing in view, drained 10000 ms with 0 cut, no timers
B7 past drain_timeout remaining calls get the documented error
  a server, call x, applied nothing, 30 s: x fails "server a was removed from the configuration; the call was ended after drain_timeout (30 s)"
  : drained 30000 ms with 1 cut, nothing in view
B7 added again while it drains, a new one is started next to it
  a server, call x, applied nothing, applied a: 2 starts; up one, call y, 2 answers: names one, y is from 2, x waits
  1 answers: x is from 1, 1 is closed, 2 is open
removed and added again in one turn, nothing happens to it
  a server, at once applied nothing, at once applied a: names one; 0 s: 1 start, 1 is open
disabled, it stays in the view, and ends as a removed one does
  a server, at once applied off: no names; call x: x fails "…is disabled…", Pending, 1 is closed; applied a: 2 starts
one that hangs while starting is closed at once
  a server that starts, applied nothing: 1 is closed, nothing in view
a server's output before it ended is kept next to the lines of the next one
  a server, dies "it exited with code 1": log "line of 1"
  1 s: log "line of 1 | --- the instance that was started when that had ended: | line of 2"
  up one: log "line of 1 | --- the instance that was started when that had ended: | line of 2"
ending gives calls in flight 3 s, then the error, and leaves nothing
  a server, call x, ending, call y: y fails "…the gateway is stopping…"; 2999 ms: 1 is open, x waits
  1 ms: x fails "the gateway is stopping", has ended, 1 is closed, no timers; applied a: 1 start
ending refuses calls that wait for an instance
  a server, dies "broken", call x, ending: x fails "the gateway is stopping", has ended
an instance that never ends is given up after a while, and delays nothing
  a stop-first server, a close hangs, applied first-changed, 10 s: 2 starts
`);
});

describe("crashes and failures", () => {
  stories(`
B7 after its first crash it is retried at once, its names stay, and calls wait
  a server, dies "it exited with code 3": names one, Degraded; call x, 250 ms: x waits, 2 starts
  up one, answers: x is from 2, Ready, 1 counted restart
a call in the very turn of the crash also waits
  a server, at once dies "it exited with code 3", call x, 250 ms, up one, answers: x is from 2
when that try fails, the names disappear, and calls report the reason and the next try
  a server, at once dies "it exited with code 3", 250 ms, call x, dies "address in use": no names, Failed, condition not_running, next try in 1 s
  : x fails "server a is unavailable: address in use; it is tried again in 1 s"
a second crash within 30 s does not hurry the restart; one after 30 s does
  a server, dies "1st", 250 ms, up one, 29 s, dies "2nd": no names; 1 s, up one, 30 s, dies "3rd": names one
five failures in a row open the circuit: one try a minute, until a restart or a change
  a server that starts, dies "no such program", 999 ms: 1 start; 1 ms: 2 starts, condition not_running
  dies "no such program", 1999 ms: 2 starts; 1 ms: 3 starts, condition not_running
  dies "no such program", 3999 ms: 3 starts; 1 ms: 4 starts, condition not_running
  dies "no such program", 7999 ms: 4 starts; 1 ms: 5 starts, condition not_running
  dies "no such program" hint "install it": condition circuit_open, hints "install it. It is tried once a minute; to try now: \`mountaineer backends restart a\`."
  59999 ms: 5 starts; 1 ms: 6 starts; dies "no such program", restarted: 7 starts; up one: no conditions
a program's log is named, and of a remote server its address and its own log
  a pool, applied remote, dies "no answer": hints "Check that \`url\` is its MCP endpoint, and see what the server at https://far.example:1 logs."
  a pool, applied changed, dies "no answer": hints "\`mountaineer backends logs a\` shows what it wrote."
  a pool, applied changed, up one, applied remote, dies "no answer": hints "Correct its configuration or undo the change. Check that \`url\` is its MCP endpoint, and see what the server at https://far.example:1 logs."
  a pool, applied remote, up one, applied changed, dies "no answer": hints "Correct its configuration or undo the change. \`mountaineer backends logs a\` shows what it wrote."
an instance is checked every 30 s; after two misses it is Degraded, after three replaced
  a server, 30 s: 1 check; missed 1, 10 s: 2 checks, Ready; missed 2: Degraded, condition not_answering
  10 s, missed 3: 2 starts, names one; up one: 1 is closed, Ready
one that does not answer and that three tries could not replace is given up: its names disappear
  a server, missed 3: names one; dies "connection refused", 1 s: names one; dies "connection refused", 2 s: names one
  dies "connection refused", 4 s: no names, 1 is closed; up one: names one, Ready
one that answers again is kept, and the other is abandoned
  a server, missed 3: 2 starts; 1 missed 0: 2 is closed, 1 is open, Ready
five consecutive time-outs cause an immediate check, without raising the usual rate
  a server, 4 calls time out, 1 calls are answered, 4 calls time out: 0 checks; 1 calls time out: 1 check
  was checked, 1 calls time out, 29999 ms: 1 check; 1 ms: 2 checks
lists that could not be read again are a condition, and reread with backoff
  a server, tools cannot be listed: condition lists_stale, Degraded; 1 s: 1 refresh; 2 s: 2 refreshes; all is listed: Ready
a server's self-description lasts as long as its names
  a server: a is introduced; dies "it exited with code 3": a is introduced; 250 ms, dies "address in use": nobody is introduced
B6 an obstacle to its start is announced once, and again when it changes
  a pool, applied needs-one, 10 s, applied needs-one, 10 s, applied needs-two, 10 s
  : phases "Failed: not set in the environment: ONE | Failed: not set in the environment: TWO"
B6 an unset variable is a condition that names it; there is no try until the config changes
  a pool, applied needs-token, 120 s: 0 starts, Failed, condition secret_missing, says /TOKEN/; call x, settled: x fails "…TOKEN…"
  a server, applied needs-token: names one, Degraded, condition change_failed, 1 times event change_failed; applied a: no conditions
  a pool with a token, applied needs-token: hides s3cret
B7 new lists of the serving instance are published in that very call
  a server, lists one two: names one two
`);
});

describe("a changed connection", () => {
  stories(`
B7 the new instance is ready before one swap; calls in flight finish on the old one
  a server, call x, applied changed: names one, Ready; up two: published two; call y, 2 answers: y is from 2, 1 is open, x waits
  1 answers: x is from 1, 1 is closed, events ready ready replaced drained
B7 a call that outlives drain_timeout on the old one gets the documented error
  a server, call x, applied changed, up two, 30 s: x fails "server a was replaced by a change of the configuration; the call was ended after drain_timeout (30 s)"
B7 lists that the old one announces while it drains are not published
  a server, call x, applied changed, up two, 1 lists old: names two
D3 one that cannot read a list which the old one could removes no names, and is retried
  a server, applied changed, tools cannot be listed, up: names one, condition change_failed, 1 is open, 2 is closed
  : says /the new one does not start: tools.list was answered/; 1 s, up two: names two, no conditions
D3 one that cannot read a list replaces one that could not either
  a server, prompts cannot be listed, applied changed, prompts cannot be listed, up two: names two, condition lists_stale
B7 one that does not start leaves the old one serving, with a condition, and is retried
  a server, applied changed, dies "it exited with code 1": names one, Degraded, condition change_failed, log "line of 1 | --- the instance that did not start: | line of 2"
  : says /keeps its old configuration: the new one does not start: it exited/; call x, 1 answers: x is from 1
  1 s: 3 starts; dies "it exited with code 1", 2 s: 4 starts, 1 times event change_failed
  dies "its program is not there", 4 s: 2 times event change_failed; up two: names two, Ready, no conditions
B6 changed back while the new one starts, that one is abandoned and nothing is left of it
  a server, applied changed, applied a: 2 is closed, 2 starts, 1 instance, Ready
B6 changed again, only the newest is wanted
  a server, applied changed, applied third: 2 is closed, 3 starts; up three: names three
the old one ends while the new one starts: calls wait for the new one
  a server, applied changed, 1 dies "it was killed": names one; call x, up two, answers: x is from 2, names two, 2 starts
B7 the old one serves until one that was restarted is ready
  a server, restarted: names one; up one: 1 is closed, 0 counted restarts
`);
});

describe("stop-first", () => {
  stories(`
B7 the old one drains and is gone before the new one starts; calls wait until then
  a stop-first server, call x, applied first-changed, call y: names one, 1 start
  a close hangs, 1 answers: x is from 1, 1 is closed, 1 start; it is closed, 0 s: 2 starts
  up two: names two; 2 answers: y is from 2
B7 when the new one fails, its names leave and the queued calls fail
  a stop-first server, applied first-changed, call x, dies "no such program": no names
  : x fails "…server a is unavailable: no such program; it is tried again in 1 s…"
B7 a queued call keeps its own deadline
  a brief server, applied brief-changed, call x, 2 s, call y, 3 s: x fails "…not ready within the call's 5 s…"
  up: 2 was given 2000 ms; answers: y is from 2
changed back while the old one drains, it keeps running
  a stop-first server, call x, applied first-changed, call y, applied first: 1 start; 1 answers: x is from 1, y is from 1, Ready
`);
});

describe("a server that requires a share", () => {
  stories(`
C1 a short absence causes no noise: the lists stay, calls wait and are served after it
  a server on CORE, share goes, call x, 4900 ms: names one, Ready, has 0 calls; share comes, answers: x is from 1, no list changed, 1 start
C1 hide: after unavailable_after_secs the names disappear at once and return at once, and calls name the share
  a server on CORE, share goes "no route leads to it", call x, 5 s: x fails "server a cannot work: share CORE is away: no route leads to it"
  call y: y fails "…share CORE is away…", Degraded, condition share_away; share comes: Ready, no conditions, published  then one, 1 start
C1 error: the names stay, and calls get an error that names the share
  one that shows errors on CORE, share goes, 5 s, call x: names one, x fails "…share CORE is away: it is not mounted…"
  share comes, call y, answers: y is from 1
C1 stop: the process ends when its calls have ended, and restarts when the share returns
  one that stops on CORE, call x, share goes, 5 s: no names, 1 is open; answers: x is from 1, 1 is closed; 600 s: 1 start, Pending
  share comes: 2 starts; up one: names one
C4 one whose share is missing at the start waits, is not Failed, and starts when the share appears
  a server without CORE, 60 s, settled: 0 starts, Pending, 0 counted restarts, condition share_away, reason "it waits for its data: share CORE is away: it is not mounted"
  share comes: 1 start
C4 one that crashes while its share is away is not restarted before the share returns
  a server on CORE, share goes, at once dies "ENOENT", 120 s: 1 start, Pending; share comes, 1 s: 2 starts
C1 one that was started on another mount is replaced: the new one is ready before the old one drains
  a server on CORE, share comes as 2: 2 starts, names one; call x: 1 has 1 call; up one, 1 answers: x is from 1, 1 is closed
  share comes as 2: 2 starts
C1 a change of the required shares, on the same mounts, restarts nothing
  a server on CORE, applied core-dev: 1 start; at once applied a, share goes, 60 s: names one
C1 a call that times out while the share is away says so
  a server on CORE, call x, share goes "no route leads to it", fails with "no answer within 60 s"
  : x fails "no answer within 60 s; share CORE is away: no route leads to it"
C1 an absence that ended before a call was made is not mentioned in its error
  a server on CORE, share goes, share comes, call x, share comes, fails with "no answer within 60 s": x fails "no answer within 60 s"
C1 per client: calls of every client wait, and with stop every instance ends
  one for each client that stops on CORE, call x by ann, up one, answers, share goes, call y by ann, 5 s: y fails "…share CORE is away…", nothing is alive
C1 per client: a call whose instance becomes ready while the share is away is not sent before it returns
  one for each client on CORE, call x by ann: 2 starts; share goes, up one: has 0 calls; share comes: has 1 call; answers: x is from 2
C1 overlap: disabled, enabled and restarted while its share is away, it is started once, when the share returns
  a server on CORE, share goes, call x, at once applied core-off, 0 s: x fails "…disabled…"; 60 s: nothing is alive
  at once applied core, restarted, 60 s: 1 start; share comes: 2 starts; up one, 1 s: names one, Ready, 2 starts
C1 stop-first: disabled, enabled and restarted while its share is away, it is started once, when the share returns
  a stop-first server on CORE, share goes, call x, at once applied core-first-off, 0 s: x fails "…disabled…"; 60 s: nothing is alive
  at once applied core-first, restarted, 60 s: 1 start; share comes: 2 starts; up one, 1 s: names one, Ready, 2 starts
C3 a pool without any shares still serves it
  a pool, applied core, up one: names one
C1 a backend that requires nothing is not touched
  a server on CORE, at once applied a, share moves, call x, answers: x is from 1, nothing runs on it
`);
});

describe("a server whose share remounts", () => {
  for (const server of ["a server", "a stop-first server"]) {
    stories(`
C1 ${server} ends, its names stay, calls wait, and are sent once to the one on the new mount
  ${server} on CORE: 1001 runs on it; share moves, call x, call y: nothing runs on it, reason "share CORE is being remounted; calls wait"
  20 s: 1 start; share comes as 2, up one: 1 has 0 calls, 2 has 2 calls, names one; answers: x is from 2, y is from 2, Ready, 0 counted restarts, no list changed
`);
  }
  stories(`
C1 a sent call continues until drain_timeout, is never repeated, and its error gives the reason
  a server on CORE, call x, share moves: 1001 runs on it; 29 s: 1001 runs on it; 1 s: nothing runs on it
  : x fails "server a was stopped, as a share that it requires is being remounted; the call was ended after drain_timeout (30 s); share CORE is being remounted"; share comes as 2, up one: has 0 calls
C1 a sent call is answered while the backend stops for the share
  a server on CORE, call x, share moves, answers: x is from 1, nothing runs on it
C1 if the stop proves unnecessary it keeps running, and the waiting calls are sent to it
  a server on CORE, call x, share moves, call y, share comes as 1: 1 start; answers: x is from 1, y is from 1, Ready, 0 drains
C1 if it stopped and the old mount is back, it restarts, and the lists do not change
  a server on CORE, share moves, call x, share comes as 1, up one, answers: x is from 2
C1 a call that waits in vain ends within its deadline, and names the share
  a brief server on CORE, share moves, call x, 3 s: x fails "…within the call's 3 s; share CORE is being remounted"
C1 a failed mount leaves the share away: after unavailable_after_secs the names disappear
  a server on CORE, share moves, share goes "it is not mounted: refused", call x, 5 s: no names, x fails "…share CORE is away: it is not mounted: refused…"
  share comes as 2, up one: names one, Ready
C1 a mount that takes longer than unavailable_after_secs counts as an absence, which ends with it
  a server on CORE, share moves, 20 s, share is taken, call x, 4900 ms: names one, no conditions
  100 ms: x fails "server a cannot work: share CORE is being remounted", no names, condition share_away, Degraded
  share comes as 2, up one: names one, no conditions, Ready
C1 one that is starting also stops for the share, and is started again
  a server on CORE, restarted: 2 starts; share moves: nothing runs on it; share comes as 2, up one: 3 starts, Ready
C1 per client: every instance stops for the share, and each client's calls are sent to its new one
  one for each client on CORE, call x by ann, up one, share moves, call y by ann: 1002 runs on it; 2 answers: x is from 2, nothing runs on it
  share comes as 2, up one, up one, answers: y is from 4
C1 per client: one that becomes ready for its first call while the share moves is not called
  one for each client on CORE, call x by ann, share moves: nothing runs on it; share comes as 2, up one, up one, answers: x is from 4, 2 has 0 calls
C1 a server behind an address has no process here: its calls wait, and it is not ended
  a remote server on CORE, share moves, call x, 20 s: 1 is open, has 0 calls; share comes as 1, answers: x is from 1
`);
});

describe("a changed connection", () => {
  it("B11 a backend that may run only once does not start alongside the previous daemon's, and starts at once when that has ended", async () => {
    let isElsewhere = true;
    const b = bench({}, { runsInPrevious: () => isElsewhere });
    await b.applied(backendConfig("a", { replace: "stop-first" }));
    let isListed = false;
    void b.pool.firstList("a").then(() => {
      isListed = true;
    });
    await b.clock.advance(59_000);
    assert.deepEqual([b.starts(), isListed], [0, false]);
    isElsewhere = false;
    b.pool.recheckAll();
    await settle();
    assert.equal(b.starts(), 1);
    await b.comesUp("one");
    assert.deepEqual([isListed, b.pool.runOncePids.length], [true, 1]);
    await b.pool.endRunOnce(0);
    assert.deepEqual(b.pool.runOncePids, []);
  });

  it("B7 filters edited with it change with the swap, filters edited without it at once", async () => {
    const b = await ready();
    const filters = { ...CHANGED.filters, tools: { allow: ["x"], deny: [] } };
    await b.applied({ ...CHANGED, filters });
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    await b.comesUp("one");
    assert.deepEqual(b.pool.published[0]?.filters.tools.allow, ["x"]);
    b.apply(CHANGED);
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    b.apply({ ...CHANGED, toolOverrides: { one: { name: "uno", description: null, arguments: null } } });
    assert.equal(b.pool.published[0]?.toolOverrides["one"]?.name, "uno");
    await settle();
    assert.equal(b.starts(), 2);
  });

  it("B7 a change of only group and timeouts changes nothing that is published and connects nothing", async () => {
    const b = await ready();
    const before = b.pool.published;
    await b.applied(backendConfig("a", { group: "g", timeouts: { initMs: 1, listMs: 1, callMs: 7_000 } }));
    assert.equal(b.pool.published, before);
    assert.equal(b.view().group, "g");
    void b.call();
    assert.deepEqual([b.script.last.calls[0]?.timeoutMs, b.starts()], [7_000, 1]);
  });

  it("D5 a tool call gets the time-out of its key, and other requests the shorter one", async () => {
    const b = await ready();
    await b.applied(
      backendConfig("a", { timeouts: { initMs: 1, listMs: 1, callMs: 300_000, otherMs: 60_000 } }),
    );
    void b.call();
    void b.pool.call("a", { ...callOf(createClient("c")), method: "resources/read" });
    assert.deepEqual(pluck(b.script.last.calls, "timeoutMs"), [300_000, 60_000]);
  });

  it("subscriptions move to the new instance, and the old one notifies no client", async () => {
    const b = await ready();
    const client = createClient("s");
    for (const uri of ["file:///x", "file:///y"]) await b.pool.subscribe("a", uri, client);
    await b.pool.unsubscribe("a", "file:///y", client);
    await b.replaced(CHANGED);
    assert.equal(b.script.last.subscribed.has("file:///y"), false);
    assert.deepEqual([...(b.script.last.subscribed.get("file:///x") ?? [])], [client]);
    assert.equal(b.script.started[0]?.subscribed.get("file:///x")?.size, 0);
    await b.pool.unsubscribe("a", "file:///x", client);
    assert.equal(b.script.last.subscribed.get("file:///x")?.size, 0);
  });

  it("subscriptions of a backend that is switched off end, even if it is switched on again", async () => {
    const b = await ready();
    await b.pool.subscribe("a", "file:///x", createClient("s"));
    await b.applied(backendConfig("a", { enabled: false }));
    await b.replaced(backendConfig("a"), "one");
    assert.deepEqual([b.starts(), b.script.last.subscribed.size], [2, 0]);
  });

  it("a client that is forgotten is subscribed nowhere, and a subscription during a change moves with it", async () => {
    const b = await ready();
    const [gone, left] = [createClient("gone"), createClient("left")];
    await b.pool.subscribe("a", "file:///x", gone);
    b.pool.forget(gone);
    assert.equal(b.script.last.subscribed.get("file:///x")?.size, 0);
    const confirmed = Promise.withResolvers<Reply>();
    b.script.last.subscribe = () => confirmed.promise;
    const subscribing = b.pool.subscribe("a", "file:///y", left);
    await b.replaced(CHANGED);
    confirmed.resolve({ result: {} });
    await subscribing;
    assertEach(b.script.last.subscribed, ([uri, clients]) => [uri, [...clients]], [["file:///y", [left]]]);
  });

  it("a client that ended while it subscribed is not subscribed at the new instance", async () => {
    const b = await ready();
    const client = createClient("s");
    const subscribing = b.pool.subscribe("a", "file:///x", client);
    client.end();
    await subscribing;
    await b.replaced(CHANGED);
    assert.deepEqual([b.starts(), b.script.last.subscribed.size], [2, 0]);
  });
});

describe("stop-first", () => {
  const first = backendConfig("a", { replace: "stop-first" });
  const changed = backendConfig("a", { replace: "stop-first", command: "other" });

  for (const answers of [true, false]) {
    it(`B11 before another daemon serves it ends, ${answers ? "after its last call" : "at the latest after the grace"}; others keep serving`, async () => {
      const b = await ready(first);
      const once = b.script.last;
      await b.applied(first, backendConfig("other"));
      await b.comesUp("two");
      const call = b.call();
      let isOver = false;
      const ending = b.pool.endRunOnce(5_000).then(() => {
        isOver = true;
      });
      await b.clock.advance(4_900);
      assert.deepEqual([once.isClosed, isOver], [false, false], "a call is in flight");
      if (answers) once.answer();
      await b.clock.advance(answers ? 0 : 100);
      assert.equal(isError(await call), !answers);
      await ending;
      assert.deepEqual([once.isClosed, b.script.last.isClosed], [true, false]);
    });
  }

  it("a cancelled call leaves the queue, and the queue is bounded", async () => {
    const b = await ready(first);
    void b.call();
    await b.applied(changed);
    const cancel = new AbortController();
    const cancelled = b.pool.call("a", callOf(null, cancel.signal));
    cancel.abort();
    assert.match(errorText(await cancelled), /cancelled/);
    const queued = Array.from({ length: 1_001 }, () => b.call());
    const last = await queued.at(-1);
    assert.match(last === undefined ? "" : errorText(last), /1000 calls wait for it already/);
    b.apply();
    assert.match(errorText((await queued[0]) ?? errorReply(0, "")), /was removed/);
  });
});
