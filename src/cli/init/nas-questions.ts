// Questions about a NAS at a terminal: the server, the login, the shares, and a second address over another
// cable. After a wrong answer only that question is repeated.

import { linkText } from "../../api/labels/found-labels.ts";
import type { FirstContact, ServerLogin } from "../../api/setup/first-contact.ts";
import type { FoundServer } from "../../api/setup/found-server.ts";
import {
  type Chosen as Address,
  advantage,
  freeNasName,
  likelySame,
  routeHosts,
  type ShareInput,
  shareNameOf,
} from "../../config/edit/new-share.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import { parseHost } from "../../config/values/host.ts";
import { hostText } from "../../config/values/host-text.ts";
import { parseServerShareName, parseUserName } from "../../config/values/names.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { isYes, meaningOf } from "../input/confirm.ts";
import { serverCells } from "../views/server-view.ts";

export interface Person {
  /** Resolves with the typed line; rejects at the end of the input. */
  prompt(question: string): Promise<string>;
  promptHidden(question: string): Promise<string>;
  print(line: string): void;
}

export interface NasTools {
  readonly meeting: Pick<
    FirstContact,
    "greet" | "deviceTo" | "canWake" | "wake" | "networksOf" | "whyOther" | "shareNames" | "pair"
  >;
  readonly userName: string;
  readonly driver: keyof typeof DRIVERS;
  /** Why the share cannot be added; null if it can. */
  readonly mayBeCalled: (share: ShareInput) => Promise<string | null>;
  readonly isSecretTaken: (name: string) => boolean;
  readonly isNasTaken: (name: string) => boolean;
  readonly signal: AbortSignal;
}

/** What `init` says about the driver that new shares get by default. */
const DRIVERS = {
  fs: "Mounted by mountaineer-fs: no root, and open files survive a pulled cable (docs/reference/shares.md)",
  netfs: "Mounted by macOS's own SMB (netfs): nothing to install (docs/reference/shares.md)",
} as const;

export interface NasChoices {
  readonly shares: readonly ShareInput[];
  /** The password, kept before the configuration refers to it; null for a guest. */
  readonly secret: { readonly name: string; readonly value: string } | null;
}

/** An address to which the person allows sending the password. */
interface Chosen extends Pick<ServerLogin, "host" | "port"> {
  /** null for a typed address at which no server was discovered. */
  readonly found: FoundServer | null;
}

/** Asks for a NAS and its shares. Resolves with null if the person wants no share. */
export async function promptNas(
  person: Person,
  servers: readonly FoundServer[],
  tools: NasTools,
): Promise<NasChoices | null> {
  const chosen = await chooseServer(person, servers, tools);
  if (chosen === null) return null;
  const { login, shareNames } = await logIn(person, chosen, tools);
  const [first = ""] = shareNames;
  const second = await chooseSecond(person, chosen, servers, { ...login, share: first }, tools);
  const secret =
    login.password === null
      ? null
      : { name: freeSecretName(shareNameOf({ share: first }), tools.isSecretTaken), value: login.password };
  const hosts = await promptRoutes(person, chosen, second, tools);
  const onlyOn = await promptNetworks(person, second === null ? [chosen] : [chosen, second], tools);
  const nas = freeNasName(chosen.found?.name ?? second?.found?.name ?? chosen.host, tools.isNasTaken);
  const shares: ShareInput[] = [];
  for (const shareName of shareNames) {
    const wanted = {
      nas,
      ...hosts,
      username: login.username === tools.userName ? null : login.username,
      password: secret === null ? null : `secret:${secret.name}`,
      onlyOn,
    };
    shares.push(await nameShare(person, shareName, wanted, tools.mayBeCalled));
  }
  person.print(DRIVERS[tools.driver]);
  return { shares, secret };
}

async function chooseServer(
  person: Person,
  servers: readonly FoundServer[],
  { meeting, signal }: NasTools,
): Promise<Chosen | null> {
  list(
    person,
    servers.map((server) => serverCells(server).join("  ")),
  );
  const question =
    servers.length === 0
      ? "No NAS was found. The address of yours (empty: only MCP servers): "
      : "Which one? Its number, or an address that you type (empty: only MCP servers): ";
  return retry(async () => {
    const answer = (await person.prompt(question)).trim();
    const meaning = meaningOf(answer);
    if (meaning === "" || meaning === "no") return { right: null };
    const chosen = serverAt(answer, servers);
    if ("wrong" in chosen) return chosen;
    let why = await meeting.greet(chosen, signal);
    const mayWake = why !== null && meeting.canWake(chosen.host);
    if (mayWake) person.print(`  ${printable(why ?? "")}`);
    if (mayWake && (await isYes(person.prompt, "Wake it (Wake-on-LAN)?", "yes"))) {
      person.print("  It has a minute to answer …");
      why = await meeting.wake(chosen, signal);
    }
    return why === null ? { right: chosen } : { wrong: printable(why) };
  }, person);
}

/**
 * Asks on which networks to mount the share. Resolves with the values for `only_on`; [] if the networks are
 * unknown, or if the person wants the share on every network.
 */
async function promptNetworks(
  person: Person,
  chosen: readonly Chosen[],
  { meeting, signal }: NasTools,
): Promise<readonly string[]> {
  const marks = await meeting.networksOf(
    chosen.map(({ host }) => host),
    signal,
  );
  if (marks === null) return [];
  const networks = marks.map((mark) => mark.replace(/^subnet:/, "")).join(", ");
  const question = `Only connect to the NAS from these networks (${networks})? Say n if you also use it elsewhere.`;
  return (await isYes(person.prompt, question, "yes")) ? marks : [];
}

function chosenOf(found: FoundServer): Chosen {
  return { host: found.address, port: found.port, found };
}

function serverAt(answer: string, servers: readonly FoundServer[]): Chosen | Wrong {
  if (meaningOf(answer) === "yes") return { wrong: "type a number or an address" };
  if (/^\d{1,3}$/.test(answer)) {
    const found = servers[Number(answer) - 1];
    if (found === undefined) return { wrong: `there is no number ${answer}` };
    return chosenOf(found);
  }
  const reading = parseHost(answer);
  if (!reading.ok)
    return { wrong: `${reading.found} is not an address${reading.hint === null ? "" : `: ${reading.hint}`}` };
  const { host, port } = reading.address;
  return { host, port, found: servers.find((one) => one.address === host && one.port === port) ?? null };
}

async function logIn(
  person: Person,
  { host, port, found }: Chosen,
  { meeting, userName, signal }: NasTools,
): Promise<{ readonly login: ServerLogin; readonly shareNames: readonly string[] }> {
  const where = printable(hostText({ host, port }));
  let username = found?.mounts.find(({ user }) => user !== null)?.user ?? userName;
  return retry(async () => {
    username = await retry(async () => {
      const typed = (await person.prompt(`Your name on ${where} [${printable(username)}]: `)).trim();
      if (typed === "" || meaningOf(typed) === "yes") return { right: username };
      if (meaningOf(typed) === "no") return { wrong: "type your name there" };
      const reading = parseUserName(typed);
      return reading.ok ? { right: reading.value } : { wrong: `expected ${reading.expected}` };
    }, person);
    const secret = await person.promptHidden(
      `Password for ${printable(username)} on ${where} (hidden; empty: as a guest): `,
    );
    const login = { host, port, username, password: secret === "" ? null : secret };
    const names = await meeting.shareNames(login, signal);
    if (names.kind === "refused") return { wrong: `${where} refuses this login: ${names.text}` };
    if (names.kind === "listed" && names.names.length > 0)
      return { right: { login, shareNames: await chooseShares(person, names.names) } };
    // Some servers list no shares, but a share can be mounted by its name.
    const why = names.kind === "failed" ? `gives no list: ${names.text}` : "lists no shares";
    person.print(`  ${where} ${why}`);
    const typed = await typeShareName(person);
    return typed === null ? { wrong: null } : { right: { login, shareNames: [typed] } };
  }, person);
}

export async function chooseShares(
  person: Pick<Person, "prompt" | "print">,
  names: readonly string[],
): Promise<readonly string[]> {
  person.print("Its shares:");
  list(person, names.map(printable));
  return retry(async () => {
    const answer = (await person.prompt("Which to keep mounted? Numbers, such as 1 3, or a name: ")).trim();
    if (names.includes(answer)) return { right: [answer] };
    const items = answer.split(/[\s,]+/).filter((item) => item !== "");
    const chosen = items.map((item) => (/^\d{1,3}$/.test(item) ? names[Number(item) - 1] : undefined));
    const known = chosen.filter((name) => name !== undefined);
    if (known.length === items.length && known.length > 0) return { right: [...new Set(known)] };
    return { wrong: items.length === 0 ? "type a number" : `${printable(answer)} is not in the list` };
  }, person);
}

/** Asks for the share's name. Resolves with null if the person wants another login. */
function typeShareName(person: Person): Promise<string | null> {
  return retry(async () => {
    const typed = (
      await person.prompt("The share's name there, if you know it (empty: another login): ")
    ).trim();
    const meaning = meaningOf(typed);
    if (meaning === "" || meaning === "no") return { right: null };
    if (meaning === "yes") return { wrong: "type its name" };
    const reading = parseServerShareName(typed);
    return reading.ok ? { right: reading.value } : { wrong: `expected ${reading.expected}` };
  }, person);
}

/**
 * Finds a second address of the server, over another cable. Sends the login only to an address that the
 * person confirms.
 */
async function chooseSecond(
  person: Person,
  first: Chosen,
  servers: readonly FoundServer[],
  { share, ...login }: ServerLogin & { readonly share: string },
  { meeting, signal }: NasTools,
): Promise<Chosen | null> {
  // A typed address has no name to compare, so each found server on another link may be the same.
  const device = first.found === null ? (await meeting.deviceTo(first, signal))?.device : null;
  const others =
    first.found === null
      ? servers.filter((one) => one.interface !== device)
      : likelySame(first.found, servers);
  const reasons = await Promise.all(others.map((one) => meeting.whyOther(first, chosenOf(one), signal)));
  for (const [index, one] of others.entries()) {
    const why = reasons[index] ?? null;
    if (why === null) {
      const [name, address, link] = serverCells(one);
      const question = `Is ${address} (${name}, ${link}) the same NAS? It then also gets this login. [y/n, or another address]: `;
      const second = await readSecond(question, one);
      if (second !== null) return second;
    } else if (first.found !== null)
      person.print(`  ${printable(`${one.name} also answers at ${one.address}: ${why}`)}`);
  }
  const isDecided = first.found === null ? reasons.includes(null) : others.length > 0;
  // Asks for a second address only if the share can be limited to its networks, because all of them must be known then.
  if (isDecided || (await meeting.networksOf([first.host], signal)) === null) return null;
  return readSecond("Its address over a second cable, which also gets this login (empty: none): ", null);

  /** `offered`: the server that a yes means. */
  function readSecond(question: string, offered: FoundServer | null): Promise<Chosen | null> {
    return retry(async () => {
      const answer = (await person.prompt(question)).trim();
      const meaning = meaningOf(answer);
      if (meaning === "no" || (meaning === "" && offered === null)) return { right: null };
      if (meaning === "" || /^\d{1,3}$/.test(answer))
        return { wrong: offered === null ? "type an address" : "type y, n or an address" };
      const other = meaning === "yes" && offered !== null ? chosenOf(offered) : serverAt(answer, others);
      if ("wrong" in other) return other;
      if (other.host === first.host) return { wrong: "that is its first address" };
      const met = { ...login, name: shareNameOf({ share }), shareName: share };
      const { kind, text } = await meeting.pair(met, other, signal);
      if (kind === "different") return { wrong: `it is another server: ${printable(text)}` };
      if (kind === "same") return { right: other };
      person.print(`  not proved to be the same NAS: ${printable(text)}`);
      const keep = "Keep this address all the same?";
      return (await isYes(person.prompt, keep, "no")) ? { right: other } : { wrong: null };
    }, person);
  }
}

/** Decides which address is preferred, and shows the links; asks if the links do not tell. */
async function promptRoutes(
  person: Person,
  first: Chosen,
  second: Chosen | null,
  tools: NasTools,
): Promise<Pick<ShareInput, "tbHost" | "fallbackHost">> {
  const mine = await addressOf(first, tools);
  if (second === null) return routeHosts(mine, null);
  const its = await addressOf(second, tools);
  const better = advantage(mine, its);
  const [fast, slow] = better < 0 ? [its, mine] : [mine, its];
  const about = ({ text, link }: typeof mine) =>
    printable(link === null ? text : `${text}  ${linkText(link, link.device)}`);
  person.print(`  ${about(fast)}${better === 0 ? "" : "  preferred: used whenever it answers"}`);
  person.print(`  ${about(slow)}${better === 0 ? "" : "  used while the other does not answer"}`);
  const question =
    `It is unknown which is faster. Is ${printable(mine.text)} preferred? ` +
    "The preferred address is used whenever it answers, the other only while it does not.";
  const isAsTyped = better !== 0 || (await isYes(person.prompt, question, "yes"));
  return isAsTyped ? routeHosts(mine, its) : routeHosts(its, mine);
}

async function addressOf(chosen: Chosen, { meeting, signal }: NasTools) {
  const { found } = chosen;
  const isLinkKnown = found !== null && found.interface !== null;
  const link = isLinkKnown
    ? { device: found.interface, ...found.link }
    : await meeting.deviceTo(chosen, signal);
  return { text: hostText(chosen), link } satisfies Address;
}

/** Names the share as the server does; if that name is not possible, asks for another. */
export async function nameShare<T extends object>(
  person: Pick<Person, "prompt" | "print">,
  shareName: string,
  rest: T,
  mayBeCalled: (share: T & Pick<ShareInput, "name" | "shareName">) => Promise<string | null>,
): Promise<T & Pick<ShareInput, "name" | "shareName">> {
  let name = shareNameOf({ share: shareName });
  return retry(async () => {
    const share = { ...rest, name, shareName: name === shareName ? null : shareName };
    const why = await mayBeCalled(share);
    if (why === null) return { right: share };
    person.print(`  ${printable(name)}: ${why}`);
    const typed = (await person.prompt(`What to call ${printable(shareName)} here: `)).trim();
    if (meaningOf(typed) === null) name = typed;
    return { wrong: null };
  }, person);
}

export interface Wrong {
  /** What was wrong with the answer; null: it was printed already. */
  readonly wrong: string | null;
}

/** Repeats `read` until the answer is right, and prints each time what was wrong. */
export async function retry<T>(
  read: () => Promise<{ readonly right: T } | Wrong>,
  person: Pick<Person, "print">,
): Promise<T> {
  for (;;) {
    const answer = await read();
    if ("right" in answer) return answer.right;
    if (answer.wrong !== null) person.print(`  ${answer.wrong}`);
  }
}

export function list(person: Pick<Person, "print">, lines: readonly string[]): void {
  for (const [index, line] of lines.entries()) person.print(`${String(index + 1).padStart(3)}  ${line}`);
}
