// The gateway as the client that the official conformance suite tests: the given server is its only backend, a person
// signs in by `fetch`, and what the scenario asks for is called through the gateway.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBackendSignIn } from "../../src/daemon/backend-sign-in.ts";
import { openWithoutDaemon } from "../../src/daemon/without-daemon.ts";
import { type AskedScenario, type ConformanceClient, startConformanceClient } from "./conformance-player.ts";

/** The suite's own, which resolves nowhere: its server knows the document. */
const DOCUMENT = "https://conformance-test.local/client-metadata.json";
/** More sign-ins than any scenario wants of a patient person. */
const MOST_LOGINS = 3;
const DEADLINE_MS = 110_000;

/** Signs in where the scenario's server wants it, and calls its first tool. For one scenario at a time. */
export function startSigningClient(): Promise<ConformanceClient> {
  return startConformanceClient(play);
}

/** Null: all of it went well; else what did not. */
async function play(asked: AskedScenario): Promise<string | null> {
  const home = await mkdtemp(join(tmpdir(), "mt-conformance-"));
  const signal = AbortSignal.timeout(DEADLINE_MS);
  try {
    const lines = [
      "[backends.server]",
      `url = "${asked.url}"`,
      "[backends.server.auth]",
      ...(await authLines(asked)),
    ];
    await writeFile(join(home, "config.toml"), `${lines.join("\n")}\n`);
    let problem = await callOnce(home, signal);
    for (let logins = 0; problem !== null && logins < MOST_LOGINS && !isOfMachine(asked); logins++) {
      await login(home, signal);
      problem = await callOnce(home, signal);
    }
    return problem;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

function isOfMachine({ name }: AskedScenario): boolean {
  return name.startsWith("auth/client-credentials");
}

/** What a person looks up before they write it down: where the server's own authorization server is. */
async function issuerOf(server: string): Promise<string> {
  const challenge = (await fetch(server, { method: "POST" })).headers.get("www-authenticate") ?? "";
  const named = /resource_metadata="([^"]+)"/.exec(challenge)?.[1];
  const { origin, pathname } = new URL(server);
  const metadata = await fetch(named ?? `${origin}/.well-known/oauth-protected-resource${pathname}`);
  const { authorization_servers: servers } = JSON.parse(await metadata.text());
  return String(servers[0]);
}

async function authLines(asked: AskedScenario): Promise<readonly string[]> {
  // These scenarios tell texts only.
  const told = asked.context as Readonly<Record<string, string>>;
  const { client_id: id, client_secret: secret, private_key_pem: key } = told;
  if (isOfMachine(asked)) {
    process.env["CONFORMANCE_SECRET"] = secret ?? key ?? "";
    const proof = secret === undefined ? "private_key" : "client_secret";
    return [
      `type = "client-credentials"`,
      `client_id = ${JSON.stringify(id)}`,
      `issuer = ${JSON.stringify(await issuerOf(asked.url))}`,
      `${proof} = "\${CONFORMANCE_SECRET}"`,
    ];
  }
  if (id === undefined) return [`client_metadata_url = "${DOCUMENT}"`];
  process.env["CONFORMANCE_SECRET"] = secret ?? "";
  return [`client_id = ${JSON.stringify(id)}`, `client_secret = "\${CONFORMANCE_SECRET}"`];
}

/** A browser without a person: the suite's servers agree to everything. */
async function visit(address: string): Promise<void> {
  const response = await fetch(address, { redirect: "manual" });
  const location = response.headers.get("location");
  if (location !== null) await fetch(new URL(location, address)).then((answer) => answer.text());
}

async function login(home: string, signal: AbortSignal): Promise<void> {
  const person = {
    visit: (address: string) => void visit(address),
    paste: async () => "",
  };
  await openBackendSignIn({ home, configPath: null }).login(
    { backend: "server", user: null, method: "browser", moreScopes: [] },
    person,
    signal,
  );
}

/** Null: it went well; else what did not. */
async function callOnce(home: string, signal: AbortSignal): Promise<string | null> {
  await using alone = await openWithoutDaemon({
    home,
    configPath: null,
    signal,
    command: "call",
    intent: "look",
  });
  const { tools } = await alone.call("tools", null, signal);
  const { backends = [] } = await alone.call("status", null, signal);
  const [name] = tools.map((tool) => tool.name);
  if (name === undefined) return backends[0]?.reason ?? "it has no tools";
  const { error } = await alone.call("call", { tool: name, arguments: {} }, signal);
  return error?.message ?? null;
}
