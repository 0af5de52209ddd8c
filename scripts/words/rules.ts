// One word for one thing: words that names do without, and phrases that native readers stumble over.

/** Words within names (`isHeld` has one, `uphold` none), what to write instead, and where (`FILE: NAME`) the word is right. */
export interface NameRule {
  readonly words: readonly string[];
  readonly instead: string;
  readonly allowed?: RegExp;
}

/** What a text is: messages and help of src, comments of src, titles of tests, pages of docs, comments of the Go program. */
export type Area = "messages" | "comments" | "titles" | "docs" | "go";

export interface PhraseRule {
  readonly name: string;
  readonly pattern: RegExp;
  readonly instead: string;
  /** Where the phrase is unwanted; without it, everywhere. */
  readonly areas?: readonly Area[];
}

/** Formats keep their members' names: wire, state file, configuration keys, error codes. */
const CODES = "/condition-rows|/(policy|serving|control|calls|sessions)/[^:]+: [a-z]+(_[a-z]+)+$";
const FORMATS = `src/(api/contract|api/operations|api/socket|reconcile/state-format|runtime/errors|shares/drivers/fs/(moving-programs|program-status)|config/schema)|${CODES}`;

function name(words: string, instead: string, ...allowed: readonly string[]): NameRule {
  const rule = { words: words.split(" "), instead };
  return allowed.length === 0 ? rule : { ...rule, allowed: new RegExp(allowed.join("|")) };
}

export const NAME_RULES: readonly NameRule[] = [
  name("door doors", "listener, HTTP server or API", "src/daemon/handover/.*: door$"),
  name("wish", "action or options"),
  name("manner", "style, layout or options"),
  name("desk", "the job that it does"),
  name("tell tells told", "report, emit or send"),
  name("mend", "repair or correct"),
  name("whoever nobodys", "who or what it is"),
  name(
    "held hold holding holder holds",
    "override (a person's), guarded, buffered, queued, paused, pending, suspect, cached, withheld, current",
    FORMATS,
    ": (lock_?[Hh]eld|[Hh]olders?|\\w*[Pp]ort[Hh]older\\w*|\\w*[Ss]ocket[Hh]older\\w*)$",
  ),
  name("place places", "context, location, path, replica, folder, position, slot", FORMATS),
  name("look looks looked looking", "check, probe, poll, recheck, stat", FORMATS, ": looks(Like|Dead)\\w*$"),
  name("seen", "observed; visited (in a walk); scanned", FORMATS),
  name("kept keeper", "stored, cached, accepted, retained; store, holder, supervisor", FORMATS),
  name("note notes noted", "record, metadata, info, marker", FORMATS, ": \\w*[rR]elease_?[Nn]otes$"),
  name(
    "words word",
    "label, text, args, summary",
    "optimizer|completion|typed-words|meant-words|suggest|query|shell|decode|name-forms",
  ),
  name("ask asks asked asking", "call, request, prompt (a person), confirm, query", FORMATS, ": ask$"),
  name(
    "left leaving",
    "remaining, unconfigured, orphaned, drained",
    FORMATS,
    "src/(tui|menubar|web|demo)/",
    ": (left|bytesLeft|msLeft)$",
  ),
  name("away", "offNetwork, unavailable, unreachable", FORMATS),
  name("way ways", "method, proxy, route, interface, mode"),
  name("alone", "only, withoutDaemon, autonomous", FORMATS),
  name("carried carrier carry carries carriage", "moved, the mount's program, sent", FORMATS, "src/config/"),
  name("lane lanes", "loop, reconcile state, reconciler"),
  name(
    "wake wakes",
    "nextRun, runAt; wake is Wake-on-LAN",
    FORMATS,
    "src/network/|policy/wake|wake-control|src/config/|src/cli/",
    ": (\\w*[Ww]ake(s?)(On|Packet|Shares?|Host|Address|Addresses|RequestedBy|Obstacle)\\w*|WakeView)$",
  ),
  name("fold folds", "update…; the folding of case is CaseFolding"),
  name("witness", "sentinel connection, server fingerprint"),
  name("doubt doubted doubts distrusted suspicion", "unverified, invalidate, unhealthy, suspect"),
  name("together", "merged, shared", FORMATS, "src/(config|api|cli)/"),
  name("lent lend lends borrow borrowed borrows", "exported, imported; leased (stand-in sessions)"),
  name(
    "pinned",
    "guarded (mount), override (route), fixed (version); a pin is an approved tool definition",
    FORMATS,
    "src/(gateway/(pins|catalog|serving|middleware)|config|api|cli|web|tui|sync)/",
  ),
  name("room", "free slots, program access"),
  name("era eras older", "version adapter, legacy session, previous daemon"),
  name("said say says saying", "reported, message, summary"),
  name("anew", "again, re…"),
  name("birth births", "creationTime"),
  name("felt", "impact", FORMATS),
  name("visit", "request; a visit is a walk through a tree", ": visit(or|Node|Each)?$"),
  name("outlet", "stream"),
  name(
    "link links",
    "transport, connection; a link is a symlink or a network link",
    FORMATS,
    "src/(shares|daemon|config|runtime/files|sync|network|doctor|menubar|web|tui|demo|cli|api/labels|api/views|clients)/",
    ": (unlink|symlink|readlink)\\w*$",
  ),
  name("reach", "right, reachable"),
  name("logon logons logged", "login", FORMATS),
  name("settled settle", "normalized; a promise settles", ": (allSettled|PromiseSettledResult|settles\\w*)$"),
  name(
    "harmless counted glued lacking expecting fleeting",
    "printable, pluralize, nonBreaking, missingRequirement, recoverFrom, shortLived",
  ),
  name("sentinel", "daemon service", "src/(network|shares)/", ": Sentinel$"),
];

/** In Go, where the terms are those of MS-SMB2 and go-fuse. */
export const GO_NAME_RULES: readonly NameRule[] = [
  ...NAME_RULES.filter(({ words: [word] }) => ["mend", "witness", "anew"].includes(word ?? "")),
  name("pair owed owes", "current and previous sessions (PreviousSessionId)"),
  name("mended nudge companions absorb absorbed", "restored; wake; its files; suppress"),
  name("aside beside", "hidden file, renamed; on a separate handle"),
  name("heard hear hearing unheard", "received; report, watch (CHANGE_NOTIFY)"),
  name("vouch vouched vouches unvouch promise", "lease"),
  name("holder holders", "lock handle"),
  name("logon logons", "login", ": (Logon(Failure|Held)|[A-Z_]+)$"),
];

export const PHRASE_RULES: readonly PhraseRule[] = [
  { name: "anew", pattern: /\b(anew|afresh)\b/i, instead: "again; remounted, re-created" },
  { name: "once more", pattern: /\bonce more\b/i, instead: "again" },
  { name: "by itself", pattern: /\bby (itself|themselves)\b/i, instead: "automatically" },
  {
    name: "leave alone",
    pattern: /\b(?:left|leaves?|leaving) (?:\w+ )?alone\b/i,
    instead: "does not touch",
  },
  { name: "alone", pattern: /\balone\b/i, instead: "only; without the daemon" },
  {
    name: "is no X",
    pattern: /(?<!\bthere )\b(?:is|are|was) no (?!longer\b|more\b|other\b|such\b)[a-z]+/i,
    instead: "is not a …",
  },
  {
    name: "is none",
    pattern: /(?<!\bthere )\b(?:is|are) none\b|\bof none\b/i,
    instead: "is not one; has no …",
  },
  { name: "any more", pattern: /\bany more\b|\bno more\b(?! than)/i, instead: "no longer" },
  { name: ", too", pattern: /, too\b/i, instead: "also (before the verb)" },
  {
    name: "of its own",
    pattern: /\bof (?:its|their|his|her|our) own\b/i,
    instead: "its own …; a separate …",
  },
  {
    name: "is told",
    pattern: /\b(?:is|are|was|were) (?:told|said)\b/i,
    instead: "is reported; the message says",
  },
  {
    name: "tells what",
    pattern: /\btells? (?:what|how|why|of|that|which|apart)\b/i,
    instead: "shows, reports, distinguishes",
  },
  {
    name: "whoever",
    pattern: /\b(?:whoever|whomever|whosoever)\b/i,
    instead: "anyone who; a client that",
  },
  { name: "nobody", pattern: /\bnobody(?:'s)?\b/i, instead: "no client, no one; unowned" },
  { name: "somebody", pattern: /\bsomebody(?:'s)?\b/i, instead: "another program, someone else" },
  {
    name: "stands in",
    pattern: /\b(?:stands?|stood) (?:in|at|there|here|beside|behind|before|still|on)\b/i,
    instead: "is (in, at)",
  },
  { name: "goes on", pattern: /\b(?:goes|go|went|going) on\b/i, instead: "continues, keeps running" },
  {
    name: "comes up",
    pattern: /\b(?:comes?|came) (?:up|back|of|from a)\b/i,
    instead: "starts; returns; the result is",
  },
  {
    name: "such",
    pattern: /(?<!\bno )\bsuch (?!as\b(?! that)|an?\b)/i,
    instead: "these; this kind of (no such X, such as: fine)",
  },
  { name: "so many", pattern: /\bso (?:many|much|few)\b/i, instead: "up to N; this many" },
  {
    name: "meanwhile",
    pattern: /\bmeanwhile\b/i,
    instead: "in the meantime; since then; until then",
  },
  {
    name: "other than",
    pattern: /\b(?:others?|another|otherwise|else) than\b/i,
    instead: "differs from; different from",
  },
  { name: "mend", pattern: /\bmend(?:s|ed|ing)?\b/i, instead: "fix, repair, correct" },
  {
    name: "held",
    pattern: /\bheld\b/i,
    instead: "overridden; paused; pending; queued",
    // In Go it is said of a mutex.
    areas: ["messages", "comments", "titles", "docs"],
  },
  {
    name: "look at",
    pattern: /\blook(?:s|ed)? (?:at|again|afresh)\b|\ba look\b/i,
    instead: "check, checked, recheck",
  },
  {
    name: "growing pauses",
    pattern: /\bgrowing pauses\b/i,
    instead: "increasing intervals (backoff)",
  },
  { name: "carried", pattern: /\bcarried\b|\bthe carrier\b/i, instead: "moved; the mount's program" },
  {
    name: "away from home",
    pattern: /\baway from home\b/i,
    instead: "off network; not on an allowed network",
  },
  { name: "mistake", pattern: /\bmistakes?\b/i, instead: "error; invalid" },
  {
    name: "beside",
    pattern: /\bbeside\b/i,
    instead: "next to; alongside; during",
    areas: ["messages", "docs"],
  },
  {
    name: "counts for",
    pattern: /\bcounts? for\b|\bcosts? (?!of\b)(?:an?|all|no|the|one|it|its|their|nothing)\b/i,
    instead: "is treated as; loses, interrupts, takes",
  },
  {
    name: "what is …, as a subject",
    pattern:
      /(?:^|[.:;] |^[A-H]\d+ )[Ww]h(?:at|o) (?:is|was|were|are|has|had|waits?|waited|runs?|ran|stands?|came|comes?|serves?|may|can|cannot)\b(?! wrong| new|.*\?$)/,
    instead: "name the subject: the files, the calls, a client that …",
  },
  {
    name: "cannot be told",
    pattern: /\bcan ?not be (?:told|said|looked|proved|known)\b/i,
    instead: "is unknown; could not be verified",
  },
  {
    name: "gives way",
    pattern: /\bgives? way\b|\bmakes? room\b/i,
    instead: "is evicted; stops programs; frees",
  },
  { name: "comes to nothing", pattern: /\bcomes? to nothing\b/i, instead: "fails", areas: ["docs"] },
  {
    name: "waits for its testers",
    pattern: /\bwaits for its (?:first )?testers\b/i,
    instead: "is written but untested on real Macs",
    areas: ["docs"],
  },
  { name: "out of time", pattern: /\bis out of time\b/i, instead: "has expired", areas: ["docs"] },
  { name: "say it again", pattern: /\bsay it again\b/i, instead: "run this again", areas: ["docs"] },
  {
    name: "know of each other",
    pattern: /\b(?:that|machines) know of each other\b/i,
    instead: "connect several machines",
    areas: ["docs"],
  },
];
