// Search terms of tools and queries: words without endings, and concepts, which stand for words of similar meaning.
// Only for English; words of other languages stay as they are.

/** Limit for a query, and for each text of a tool. */
const MOST_TERMS = 400;

const STOP_WORDS: ReadonlySet<string> = new Set(
  (
    "a an the of to in on for from with and or is are was were be been by my me i we us our you your it its this that " +
    "these those what whom whose how do does did can could would should please want need needs all any some " +
    "there have has had at as into out up off about than then so if when where will just not no only via per let lets " +
    "they them their he she him his her also very much such because again here why each both too now something anything " +
    "someone anyone thing things next " +
    "s t re ve ll using use used uses given specific specified provided optional required e g etc"
  ).split(" "),
);

/**
 * Each line is one concept: the first word names the concept. A text that contains any word of the line also gets the
 * concept.
 */
const CONCEPTS: readonly string[] = [
  "find search look lookup query locate seek discover",
  "list enumerate browse show which who overview",
  "get fetch retrieve read view show see display describe inspect open tell details detail info information give check",
  "create make add new insert open start generate write register set build provision draft compose raise file",
  "update edit modify change set rename patch adjust alter rewrite correct fix",
  "delete remove drop erase clear destroy discard unlink purge wipe rid trash",
  "send post reply share forward notify email mail message respond answer dm",
  "run execute invoke trigger launch perform start rerun",
  "stop cancel kill terminate end abort halt",
  "undo reset revert rollback restore discard",
  "stash shelve aside later",
  "cherry apply pick",
  "schedule recurring nightly daily weekly monthly cron periodic night every",
  "uptime down outage alive reachable unavailable",
  "presence online offline busy available",
  "blame wrote author",
  "newest latest recent last",
  "week month day today tomorrow calendar agenda",
  "block unblock protect lock",
  "quantity size large big bigger resize scale small",
  "close finish complete resolve done shut",
  "move transfer relocate",
  "copy duplicate clone fork replicate",
  "upload attach import push",
  "download export save pull",
  "enable activate on resume unpause turn",
  "disable deactivate off pause suspend",
  "picture image screenshot photo snapshot capture",
  "pr pull merge mr review",
  "issue ticket bug task workitem todo",
  "user member person people account colleague teammate contact assignee",
  "doc document page note",
  "project repo repository codebase",
  "database table sql postgres mysql mariadb redis mongodb kafka valkey",
  "mail email inbox message",
  "meeting event appointment calendar schedule",
  "comment note remark reply discussion thread",
  "log output trace console",
  "configuration config setting option preference",
  "secret token credential key password",
  "metric statistic stat usage performance number count",
  "price cost billing invoice bill charge balance owe pay payment",
  "pipeline build ci workflow job run",
  "error crash exception failure problem",
  "type enter fill input write text",
  "click press tap push",
  "website webpage site page url address link",
  "go navigate visit open browse",
  "machine server vm instance node droplet host",
  "chat conversation channel room team",
  "permission access role right",
  "group team",
  "compare diff difference changed changes",
  "version release tag",
  "status state health progress condition",
  "phone mobile device simulator emulator",
  "rule policy",
  "deploy release rollout ship",
  "restart reboot",
  "label tag category",
  "spreadsheet excel worksheet sheet",
  "time date clock",
  "place location restaurant cafe hotel nearby near shop",
  "direction route travel car trip journey",
  "knowledge graph remember memory fact entity relation observation",
  "connect relation link join",
  "elevation high altitude height sea",
  "cluster kubernetes",
];

const CONCEPT = "~";

/** In names of tools, the first word of a line replaces the others. */
const SAME: readonly string[] = [
  "folder directory dir directories",
  "email mail mails",
  "repository repo",
  "database db",
  "kubernetes k8s",
  "color colour",
  "certificate cert certs",
  "environment env envs",
  "configuration config",
  "js javascript",
];

/** Phrases, each with the word that replaces it. */
const JOINED: readonly (readonly [RegExp, string])[] = [
  [/\bto-?\s?do\b(?= (?:item|list|task|app))|\bto-do/g, "todo"],
  [/\blook(?:ing)? up\b|\blook for\b/g, "search"],
  [/\b(?:get|getting) rid of\b|\bthrow away\b/g, "delete"],
  [/\bone ?note\b/g, "onenote"],
  [/\bshare ?point\b/g, "sharepoint"],
];

/** Made at their first use: a start does not need them. */
let canonicalTerms: ReadonlyMap<string, string> | undefined;
let conceptsByTerm: ReadonlyMap<string, readonly string[]> | undefined;

function canonicalOf(term: string): string {
  canonicalTerms ??= new Map(
    SAME.flatMap((words) => {
      const [first = "", ...others] = words.split(" ");
      return others.map((other) => [stem(other), stem(first)] as const);
    }),
  );
  return canonicalTerms.get(term) ?? term;
}

/** Returns the words of the text in order, with repetitions. camelCase and snake_case are split. */
export function termsOf(text: string): readonly string[] {
  const terms: string[] = [];
  for (const word of wordsOf(text)) {
    if (STOP_WORDS.has(word)) continue;
    terms.push(canonicalOf(stem(word)));
    if (terms.length >= MOST_TERMS) break;
  }
  return terms;
}

/**
 * The concepts of these terms, without repetition. Each concept begins with `CONCEPT`, so that it never equals a
 * word.
 */
export function conceptsOf(terms: readonly string[]): readonly string[] {
  conceptsByTerm ??= conceptTable();
  const concepts = conceptsByTerm;
  return [...new Set(terms.flatMap((term) => concepts.get(term) ?? []))];
}

function wordsOf(given: string): readonly string[] {
  const apart = given
    .normalize("NFKC")
    .replaceAll(/(\p{Ll}|\p{N})(\p{Lu})/gu, "$1 $2")
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1 $2")
    .toLowerCase();
  const joined = JOINED.reduce((text, [words, one]) => text.replace(words, one), apart);
  return joined.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

/** The stem of a word: equal for all forms of the word, but not necessarily a word. */
export function stem(word: string): string {
  if (word.length <= 3 || !/^[a-z]+$/.test(word)) return word;
  let rest = word;
  if (rest.endsWith("ies") && rest.length > 4) rest = `${rest.slice(0, -3)}y`;
  else if (/(?:ss|sh|ch|x|z)es$/.test(rest)) rest = rest.slice(0, -2);
  else if (rest.endsWith("s") && !/(?:ss|us|is)$/.test(rest)) rest = rest.slice(0, -1);
  for (const ending of ["ing", "ed"]) {
    const left = rest.slice(0, -ending.length);
    if (rest.endsWith(ending) && left.length >= 3 && /[aeiouy]/.test(left)) {
      rest = /([bdfgmnprt])\1$/.test(left) ? left.slice(0, -1) : left;
      break;
    }
  }
  if (/[st]ion$/.test(rest) && rest.length > 6) rest = rest.slice(0, -3);
  if (rest.endsWith("ment") && rest.length > 8) rest = rest.slice(0, -4);
  if (rest.endsWith("e") && rest.length > 4) rest = rest.slice(0, -1);
  if (rest.endsWith("at") && rest.length > 6) rest = rest.slice(0, -2);
  return rest.endsWith("y") && rest.length > 4 ? `${rest.slice(0, -1)}i` : rest;
}

function conceptTable(): Map<string, string[]> {
  const pairs = CONCEPTS.flatMap((line) => {
    const words = line.split(" ");
    const terms = new Set(words.map(stem).map(canonicalOf));
    return [...terms].map((term) => ({ term, concept: `${CONCEPT}${words[0]}` }));
  });
  const byTerm = Map.groupBy(pairs, ({ term }) => term);
  return new Map([...byTerm].map(([term, of]) => [term, of.map(({ concept }) => concept)]));
}
