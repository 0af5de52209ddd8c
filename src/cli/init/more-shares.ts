// `shares add` without options at a terminal: asks for more shares of a configured NAS, and for the NAS if several are
// configured.
import { editConfig } from "../../config/edit/edit.ts";
import { parseConfig } from "../../config/read/load.ts";
import { passwordText } from "../../config/secret-names.ts";
import { nasOf, type ShareConfig } from "../../config/snapshot.ts";
import { hostText } from "../../config/values/host-text.ts";
import { mistakesError, mistakeText } from "../../config/values/mistakes.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { openMeeting } from "../in-process/open.ts";
import type { Signals, Target } from "../input/command.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { chooseShares, list, nameShare, type Person, retry } from "./nas-questions.ts";

type NewShare = Readonly<Record<string, string>> & { readonly name: string };

/**
 * Asks for the new shares. `onlyOn` is copied from the NAS's other shares. Rejects with `usage` if no NAS is
 * configured, or the NAS lists no shares.
 */
export async function promptMoreShares(
  context: Target & Signals,
  prompt: Person["prompt"],
): Promise<{ readonly shares: readonly NewShare[]; readonly onlyOn: readonly string[] }> {
  const person = { prompt, print: (line: string) => void process.stderr.write(`${line}\n`) };
  const { loaded, whatIsWrong } = await viewConfig(context, async ({ read, path, homeContext, format }) => {
    const bytes = (await read()) ?? new Uint8Array();
    return {
      loaded: await parseConfig(bytes, path, homeContext),
      whatIsWrong: async (added: readonly NewShare[]): Promise<string | null> => {
        const edits = added.map((one) => ({ kind: "add", list: "shares", entry: one }) as const);
        const checked = await parseConfig(
          (await editConfig({ bytes, format, edits })).bytes,
          path,
          homeContext,
        );
        const [mistake] = checked.ok ? [] : checked.mistakes;
        return mistake === undefined ? null : mistakeText(mistake);
      },
    };
  });
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  const { snapshot } = loaded;
  const { shares } = snapshot.config;
  const known = new Map(
    shares.flatMap((share) => (hostsOf(share) === "" ? [] : [[sameNas(share), share] as const])),
  );
  const all = [...known.values()];
  const share = all.length > 1 ? await chooseNas(person, all) : all[0];
  if (share === undefined) {
    throw new MountaineerError("usage", "no NAS is configured yet", { hint: "mountaineer init finds yours" });
  }
  await using meeting = await openMeeting(context);
  const names = await meeting.configuredShareNames(snapshot, share.name, context.signal);
  if (names.kind !== "listed") {
    const hint = "mountaineer shares add --share NAME adds one by its name";
    throw new MountaineerError("usage", `${hostsOf(share)} gives no list: ${names.text}`, { hint });
  }
  const there = new Set(
    shares.filter((one) => sameNas(one) === sameNas(share)).map(({ shareName }) => shareName),
  );
  const more = names.names.filter((name) => !there.has(name));
  if (more.length === 0)
    throw new MountaineerError("usage", `all shares of ${hostsOf(share)} are configured`);
  const chosen = await chooseShares(person, more);
  const nas = nasOf(snapshot.config, share.name);
  const keys = keysOf(share, nas);
  const onlyOn = nas === null ? share.onlyOn : [];
  return { shares: await newShares(person, keys, chosen, whatIsWrong), onlyOn };
}

/** Asks again for a name that another share has. Exported for its test. */
export async function newShares(
  person: Pick<Person, "prompt" | "print">,
  keys: Readonly<Record<string, string>>,
  chosen: readonly string[],
  whatIsWrong: (shares: readonly NewShare[]) => Promise<string | null>,
): Promise<readonly NewShare[]> {
  const shares: NewShare[] = [];
  for (const shareName of chosen) {
    const called = (name: string): NewShare => ({ ...keys, name, share_name: shareName });
    const mayBeCalled = ({ name }: { readonly name: string }) => whatIsWrong([...shares, called(name)]);
    shares.push(called((await nameShare(person, shareName, {}, mayBeCalled)).name));
  }
  return shares;
}

function chooseNas(
  person: Pick<Person, "prompt" | "print">,
  all: readonly ShareConfig[],
): Promise<ShareConfig> {
  list(
    person,
    all.map((share) => printable(`${hostsOf(share)}  as ${share.username}`)),
  );
  return retry(async () => {
    const answer = (await person.prompt("Of which NAS? Its number: ")).trim();
    const share = all[Number(answer) - 1];
    return share === undefined ? { wrong: `there is no number ${printable(answer)}` } : { right: share };
  }, person);
}

/** A key that is the same for all shares of one server and login. */
function sameNas(share: ShareConfig): string {
  return JSON.stringify([hostsOf(share), share.username, share.password]);
}

function hostsOf({ routes }: ShareConfig): string {
  const hosts = [routes.tb, routes.fallback].flatMap(({ host, port }) =>
    host === null ? [] : [hostText({ host, port })],
  );
  return hosts.join(" | ");
}

/**
 * The keys that a new share copies from an existing share of its NAS; only `nas`, if it has the others from there.
 */
function keysOf(
  share: Pick<ShareConfig, "username" | "routes" | "password">,
  nas: string | null = null,
): Readonly<Record<string, string>> {
  if (nas !== null) return { nas };
  const { tb, fallback } = share.routes;
  const password = passwordText(share);
  return {
    ...(tb.host === null ? {} : { thunderbolt_host: hostText({ host: tb.host, port: tb.port }) }),
    ...(fallback.host === null
      ? {}
      : { fallback_host: hostText({ host: fallback.host, port: fallback.port }) }),
    ...(tb.interfaceName === null ? {} : { thunderbolt_interface: tb.interfaceName }),
    ...(fallback.interfaceName === null ? {} : { fallback_interface: fallback.interfaceName }),
    username: share.username,
    ...(password === null ? {} : { password }),
  };
}
