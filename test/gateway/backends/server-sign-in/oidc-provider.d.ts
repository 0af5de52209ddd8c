// What the tests use of oidc-provider, which comes without types.
declare module "oidc-provider" {
  interface FoundToken {
    readonly aud: unknown;
    readonly scope?: string;
    readonly isExpired: boolean;
    readonly accountId?: string;
  }

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    readonly AccessToken: { find(token: string): Promise<FoundToken | undefined> };
    readonly ClientCredentials: { find(token: string): Promise<FoundToken | undefined> };
    callback(): (
      request: import("node:http").IncomingMessage,
      response: import("node:http").ServerResponse,
    ) => void;
    // biome-ignore lint/suspicious/noExplicitAny: each event has arguments of its own.
    on(event: string, listener: (...args: any[]) => void): void;
  }
}

declare module "oidc-provider/lib/adapters/memory_adapter.js" {
  // biome-ignore lint/style/noDefaultExport: it is theirs.
  export default class MemoryAdapter {
    constructor(name: string);
    consume(id: string): Promise<void>;
  }
}
