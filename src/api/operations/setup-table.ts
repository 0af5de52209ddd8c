// The rows of the table of operations by which a person sets up shares, backends, secrets and ways in.
import {
  flag,
  list,
  matching,
  nullable,
  object,
  optional,
  strictObject,
  text,
  wellFormedText,
} from "../../runtime/shape.ts";
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { registryListShape, registryServerRequest, registryServerShape } from "../contract/registry.ts";
import { loginReportShape } from "../setup/backend-sign-in.ts";
import { pairRequest, pairVerdictShape, shareNamesRequest, shareNamesShape } from "../setup/first-contact.ts";
import { foundServerShape } from "../setup/found-server.ts";
import { secretChangeShape, secretListShape } from "../setup/home-secrets.ts";
import { importRequest, importShape } from "../setup/server-import.ts";
import { BODY_LIMIT_BYTES, operation } from "./operation.ts";

const oneBackend = strictObject({ backend: wellFormedText });
const secretName = matching(SECRET_NAME.form, SECRET_NAME.expected);

export const SETUP_OPERATIONS = {
  /** SMB servers that this machine hears or knows; scans nothing. Takes two seconds. */
  discover: operation("POST shares/discover", {
    right: "with_commands",
    output: object({ servers: list(foundServerShape) }),
    counts: "places",
  }),
  /** The shares of a server, asked with a login, never as a guest. */
  shareNames: operation("POST shares/names", {
    right: "with_commands",
    input: shareNamesRequest,
    output: shareNamesShape,
    counts: "places",
  }),
  /** The networks that these servers are on now, as values for `only_on`. */
  shareNetworks: operation("POST shares/networks", {
    right: "with_commands",
    input: strictObject({ hosts: list(text) }),
    /** null: the networks cannot be found out. */
    output: object({ networks: nullable(list(text)) }),
    counts: "places",
  }),
  /** Check whether another address leads to the same server. */
  pairServers: operation("POST shares/pair", {
    right: "with_commands",
    input: pairRequest,
    output: pairVerdictShape,
    counts: "places",
  }),
  /** Search the registry for MCP servers by a part of their names. Rejects with `registry_failed`. */
  searchRegistry: operation("POST registry/search", {
    right: "with_commands",
    input: strictObject({ query: text }),
    output: registryListShape,
    counts: "records",
  }),
  /** A registry server's inputs, and the backend that it would become. Rejects with `registry_failed`. */
  registryServer: operation("POST registry/server", {
    right: "with_commands",
    input: registryServerRequest,
    output: registryServerShape,
    counts: "records",
  }),
  /** Find the path of an MCP server's address; sends neither headers nor credentials. */
  mcpAddress: operation("POST backends/address", {
    right: "with_commands",
    input: strictObject({ url: text }),
    /** null: the address has a path already, or nothing answers. */
    output: object({ url: nullable(text) }),
    counts: "places",
  }),
  /**
   * Import the MCP servers of a client's files, or of a pasted text, and store their secrets. Only with `agreed` is
   * anything written. Rejects with `client_unreadable` and `config_…`, and with `config_changed` if the import is no
   * longer the one that was agreed to.
   */
  importServers: operation("POST backends/import", {
    right: "with_commands",
    input: importRequest,
    output: importShape,
    counts: "places",
    bodyLimitBytes: 64 * BODY_LIMIT_BYTES,
  }),
  /**
   * Begin a sign-in to a backend's server, and end an earlier one; returns the address to open in a browser on this
   * machine. Rejects as `awaitLogin` does.
   */
  beginLogin: operation("POST backends/login", {
    right: "with_commands",
    input: oneBackend,
    /** The page where the person signs in. */
    output: object({ address: text }),
    counts: "places",
  }),
  /**
   * Wait up to ten minutes until the person has signed in to the backend's server, then restart the backend.
   * Rejects with `sign_in_failed` and `secret_unavailable`.
   */
  awaitLogin: operation("POST backends/login/end", {
    right: "with_commands",
    input: oneBackend,
    output: loginReportShape,
    counts: "calls",
  }),
  /** Names of the secrets that are stored or referred to; reads no value. */
  secrets: operation("GET secrets", {
    output: secretListShape,
    counts: "config",
  }),
  /**
   * Store a secret, replacing one of the same name. Backends and shares that use the secret get the new value at
   * once.
   */
  setSecret: operation("POST secrets/set", {
    right: "with_commands",
    input: strictObject({
      name: secretName,
      value: matching(/^[^\r\n\0]{1,65536}$/, "a text of one line"),
    }),
    output: secretChangeShape,
    counts: "config",
    bodyLimitBytes: 2 * BODY_LIMIT_BYTES,
  }),
  /** Delete a secret. */
  removeSecret: operation("POST secrets/remove", {
    right: "with_commands",
    input: strictObject({ name: secretName }),
    output: secretChangeShape,
    counts: "config",
  }),
  /** When this home was last backed up. */
  lastBackup: operation("GET backup", {
    /** ISO 8601 UTC; null: never on this machine. */
    output: object({ time: nullable(text) }),
    counts: "config",
  }),
  /**
   * A link that signs one browser in. The link works once, within a minute. Without a gateway, this opens a listener
   * for the page. Rejects with `gateway_off` if `[server.management].enabled` is not true. `from_terminal`: a person
   * asks; while the home has nothing yet, the tab that opens the link may then change what runs.
   */
  openPage: operation("POST access/link", {
    right: "socket",
    input: strictObject({ from_terminal: optional(flag) }),
    output: object({
      /** `http://127.0.0.1:9000/#CODE`: a browser never sends the part behind `#`. */
      url: text,
      expires_at: text,
    }),
  }),
  /**
   * Let the tab of the page that shows this code change which programs run. Rejects with `permission_denied`.
   */
  grantOwner: operation("POST access/owner", {
    right: "socket",
    /** The code as the person types it. */
    input: strictObject({ code: text }),
    /** When the tab's right ends. */
    output: object({ until: text }),
  }),
  /**
   * A code for a terminal to show: a tab of the page in which it is typed may change which programs run. Only the
   * last one is valid.
   */
  offerOwner: operation("POST access/owner/offer", {
    right: "socket",
    output: object({ code: text, expires_at: text }),
  }),
  /**
   * Make a new token for the management API, and revoke the previous one. Rejects with `home_unwritable`, as
   * `forgetToken` does.
   */
  makeToken: operation("POST access/token", {
    right: "socket",
    output: object({
      /** The token is shown only here, because the daemon keeps only a hash of it. */
      token: text,
      /** True if there was a token before, which is no longer valid. */
      replaced: flag,
    }),
  }),
  /** Revoke the management API's token. */
  forgetToken: operation("POST access/token/forget", {
    right: "socket",
    /** False: there was no token. */
    output: object({ forgotten: flag }),
  }),
};
