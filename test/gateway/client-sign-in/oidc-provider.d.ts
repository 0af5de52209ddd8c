// The parts of oidc-provider that tests use: the package ships no types.
declare module "oidc-provider" {
  import type { RequestListener } from "node:http";

  // biome-ignore lint/style/noDefaultExport: it is theirs.
  export default class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    callback(): RequestListener;
  }
}
