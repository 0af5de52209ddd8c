// A network with a NAS of two cables, and a person who answers the questions of `init` about it.
import assert from "node:assert/strict";
import type { FirstContact, PairVerdict, ServerLogin } from "../../../src/api/setup/first-contact.ts";
import type { FoundServer } from "../../../src/api/setup/found-server.ts";
import { type InitTools, promptChoices } from "../../../src/cli/init/init-questions.ts";

export function server(name: string | null, address: string, change: Partial<FoundServer> = {}): FoundServer {
  const link = { kind: "wired", text: "Ethernet, 1 Gbit/s", speed: 1000 } as const;
  const base = { port: 445, host: null, interface: "eth0", mounts: [] };
  return { ...base, by: ["dns-sd"], name, address, link, ...change };
}

const THUNDERBOLT = {
  interface: "tb0",
  link: { kind: "thunderbolt", text: "Thunderbolt bridge, 40 Gbit/s", speed: 40_000 },
} as const;
export const CORE = server("CORE", "10.0.1.2", THUNDERBOLT);
export const ROGUE = server("CORE", "10.0.2.66");
export const SAME = server("CORE", "10.0.2.2");
export const VAULT = server("VAULT", "10.0.2.9");

type Meeting = InitTools["meeting"];

/** A network where CORE takes ann's login, and what was sent to whom. */
export class Net implements Meeting {
  readonly logins: string[] = [];
  readonly paired: string[] = [];
  shares = ["core", "media"];
  /** True takes any name with the right password. */
  isOpen = false;
  networks: readonly string[] | null = null;
  asleep: readonly string[] = [];
  readonly woken: string[] = [];
  greet({ host }: Pick<ServerLogin, "host">): Promise<string | null> {
    if (this.asleep.includes(host)) return Promise.resolve(`${host}: no answer`);
    return Promise.resolve(host.startsWith("10.") ? null : `${host} has no address`);
  }
  /** The links to addresses that are typed. */
  links: Readonly<Record<string, Awaited<ReturnType<Meeting["deviceTo"]>>>> = {};
  deviceTo({ host }: Pick<ServerLogin, "host">): ReturnType<Meeting["deviceTo"]> {
    return Promise.resolve(this.links[host] ?? null);
  }
  canWake(host: string): boolean {
    return this.asleep.includes(host);
  }
  wake({ host }: Pick<ServerLogin, "host">): Promise<string | null> {
    this.woken.push(host);
    this.asleep = this.asleep.filter((one) => one !== host || one === VAULT.address);
    return this.greet({ host });
  }
  networksOf(hosts: readonly string[]): Promise<readonly string[] | null> {
    return Promise.resolve(this.networks?.slice(0, hosts.length) ?? null);
  }
  /** The ones that say without a login that they are others. */
  others: readonly string[] = [];
  whyOther(_: unknown, { host }: Pick<ServerLogin, "host">): Promise<string | null> {
    return Promise.resolve(this.others.includes(host) ? "another server, with another ServerGuid" : null);
  }
  verdict: PairVerdict = { kind: "same", text: "" };
  shareNames({ host, username, password }: ServerLogin): ReturnType<FirstContact["shareNames"]> {
    this.logins.push(host);
    const isRight = (this.isOpen || username === "ann") && password === "right";
    return Promise.resolve(
      isRight ? { kind: "listed", names: this.shares } : { kind: "refused", text: "NT_STATUS_LOGON_FAILURE" },
    );
  }
  pair(_: unknown, { host }: Pick<ServerLogin, "host">): Promise<PairVerdict> {
    this.paired.push(host);
    return Promise.resolve(
      !host.startsWith("10.")
        ? { kind: "unproved", text: `${host} has no address` }
        : host === ROGUE.address
          ? { kind: "different", text: "their ids differ" }
          : this.verdict,
    );
  }
}

/** Each answer by what its question begins with, in turn. */
export async function talk(
  net: Net,
  servers: readonly FoundServer[],
  answer: (question: string) => string,
  change: Partial<InitTools> = {},
) {
  const asked: string[] = [];
  const told: string[] = [];
  const prompt = (question: string): Promise<string> => {
    asked.push(question);
    assert.ok(asked.length < 200, "it asks for ever");
    return Promise.resolve(answer(question));
  };
  const choices = await promptChoices(
    { prompt, promptHidden: prompt, print: (line) => told.push(line) },
    servers,
    {
      meeting: net,
      userName: "root",
      driver: "fs",
      mayBeCalled: () => Promise.resolve(null),
      whatIsWrong: () => Promise.resolve(null),
      isSecretTaken: () => false,
      isNasTaken: () => false,
      hasClient: false,
      signal: new AbortController().signal,
      ...change,
    },
  );
  return { choices, asked, told };
}

/** Answers in this order. */
export function inTurn(...answers: readonly string[]): () => string {
  const left = [...answers];
  return () => left.shift() ?? assert.fail("one question too many");
}
