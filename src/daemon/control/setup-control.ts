// Operations for adding a share or a backend: discovery, a server's shares, the registry, secrets.

import type { Control } from "../../api/operations/operations.ts";
import { storedNames } from "../../api/setup/home-secrets.ts";
import { findMcpAddress, hasNoPath } from "../../api/setup/mcp-address.ts";
import { parseHost } from "../../config/values/host.ts";
import { parseServerShareName, parseUserName } from "../../config/values/names.ts";
import { queryRegistry, registryAddress, searchRegistry } from "../../registry/registry-client.ts";
import { inputsOf, planBackend } from "../../registry/registry-plan.ts";
import { type RegistryInput, type RegistryServer, readServerJson } from "../../registry/server-json.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { ENCRYPTION_KEY } from "../../secrets/encrypted-files.ts";
import { lastBackup } from "../compose/backup-records.ts";
import { foundServers } from "../compose/found-servers.ts";
import { openHomeSecrets } from "../compose/home-secrets.ts";
import { openFirstContact } from "./first-contact.ts";

interface SetupParts {
  readonly home: string;
  readonly configPath: string | null;
  readonly reload: Control["reload"];
}

export function createSetupControl({ home, configPath, reload }: SetupParts) {
  const store = () => openHomeSecrets({ home, configPath });
  return {
    discover: async (_, signal) => ({ servers: [...(await foundServers(signal))] }),
    async shareNames(typed, signal) {
      const login = loginOf(typed);
      await using meeting = await openFirstContact(home, signal);
      const why = await meeting.greet(login, signal);
      return why === null ? meeting.shareNames(login, signal) : { kind: "failed", text: why };
    },
    async shareNetworks({ hosts }, signal) {
      await using meeting = await openFirstContact(home, signal);
      const networks = await meeting.networksOf(
        hosts.map((typed) => addressOf(typed).host),
        signal,
      );
      return { networks: networks && [...networks] };
    },
    async pairServers({ share, other, ...typed }, signal) {
      const shareName = read(parseServerShareName(share), share);
      const login = loginOf(typed);
      await using meeting = await openFirstContact(home, signal);
      return meeting.pair({ ...login, name: shareName, shareName }, addressOf(other), signal);
    },
    searchRegistry: async ({ query }, signal) => ({
      servers: (await searchRegistry(registryAddress(), query, signal)).map((one) =>
        entryOf(readServerJson(one)),
      ),
    }),
    async registryServer({ server, name, values }, signal) {
      const found = readServerJson(await queryRegistry(registryAddress(), server, signal));
      const remarks: string[] = [];
      const storedSecrets = async () => storedNames(await store().list());
      const options = { name, given: new Map(Object.entries(values)), typed: new Set<string>() };
      const surroundings = { prompt: null, notify: (text: string) => void remarks.push(text), storedSecrets };
      const about = { ...entryOf(found), inputs: inputsOf(found).map(inputWire) };
      try {
        const { command, url, texts, secrets } = await planBackend(found, options, surroundings);
        const plan = {
          ...{ command: command === null ? null : [...command], url, remarks },
          texts: Object.fromEntries([...texts].map(([key, { text }]) => [key, text])),
          secrets: Object.fromEntries(secrets),
        };
        return { ...about, plan, why: null };
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        return { ...about, plan: null, why: error.message };
      }
    },
    mcpAddress: async ({ url }, signal) => ({
      url: hasNoPath(url) ? await findMcpAddress(url, signal) : null,
    }),
    secrets: () => store().list(),
    lastBackup: async () => ({ time: await lastBackup(home) }),
    async setSecret({ name, value }, signal, rights) {
      refuseOwnKey(name);
      const stored = await store().set(name, value, null, signal);
      await reload({ secrets: true }, signal, rights);
      return stored;
    },
    async removeSecret({ name }, signal, rights) {
      refuseOwnKey(name);
      const removed = await store().remove(name, signal);
      await reload({ secrets: true }, signal, rights);
      return removed;
    },
  } satisfies Partial<Control>;
}

function entryOf({ name, version, description, isDeprecated }: RegistryServer) {
  return { name, version, description, deprecated: isDeprecated };
}

function inputWire({ isRequired, isSecret, choices, ...input }: RegistryInput) {
  return { ...input, required: isRequired, secret: isSecret, choices: [...choices] };
}

/** Refuses changes of the daemon's own key: without it, the sign-ins to all servers would be lost. */
function refuseOwnKey(name: string): void {
  if (name !== ENCRYPTION_KEY) return;
  throw new MountaineerError("usage", `${name} is the daemon's own key; nothing was changed`, {
    hint: "mountaineer secret remove forgets it, and with it each server's sign-in",
  });
}

type Reading<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly expected: string };

function read<Value>(reading: Reading<Value>, typed: string): Value {
  if (reading.ok) return reading.value;
  throw new MountaineerError("usage", `${JSON.stringify(typed)}: expected ${reading.expected}`);
}

function loginOf({ host, username, password }: Record<"host" | "username" | "password", string>) {
  return { ...addressOf(host), username: read(parseUserName(username), username), password };
}

function addressOf(typed: string): { readonly host: string; readonly port: number } {
  const reading = parseHost(typed);
  if (reading.ok) return reading.address;
  throw new MountaineerError("usage", `${reading.found} is not an address`, { hint: reading.hint });
}
