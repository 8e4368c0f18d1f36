import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { bits, boolean, integer, objectIdentifier, octets, sequence, set, tagged, time, utf8 } from "./der.ts";

/** A certificate and its key, as PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** The holder of a certificate: a common name and, for clients, groups (organizations). */
export interface Subject {
  readonly commonName: string;
  readonly organizations: readonly string[];
}

export interface CertificateRequest {
  readonly subject: Subject;
  readonly use: "authority" | "server" | "client";
  /** DNS names and addresses of a server. */
  readonly names: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Issuer {
  readonly subject: Subject;
  readonly key: KeyObject;
}

// Object identifiers: RFC 5280, RFC 5758.
const ecdsaWithSha256 = sequence(objectIdentifier("1.2.840.10045.4.3.2"));
const commonName = "2.5.4.3";
const organization = "2.5.4.10";

/** A certificate (X.509 version 3) on a fresh P-256 key. Without an issuer it signs itself. */
export function issueCertificate(request: CertificateRequest, issuer: Issuer | undefined): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signed = sequence(
    tagged(0xa0, integer(2)),
    integer(serialNumber()),
    ecdsaWithSha256,
    distinguishedName(issuer?.subject ?? request.subject),
    sequence(time(request.notBeforeMs), time(request.notAfterMs)),
    distinguishedName(request.subject),
    publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(...extensions(request))),
  );
  const signature = sign("sha256", signed, issuer?.key ?? privateKey);
  const certificate = sequence(signed, ecdsaWithSha256, bits(signature));
  return { certificate: pem("CERTIFICATE", certificate), key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

function distinguishedName({ commonName: name, organizations }: Subject): Buffer {
  const part = (identifier: string, text: string) => set(sequence(objectIdentifier(identifier), utf8(text)));
  return sequence(...organizations.map((text) => part(organization, text)), part(commonName, name));
}

function extension(identifier: string, critical: boolean, content: Buffer): Buffer {
  return sequence(objectIdentifier(identifier), ...(critical ? [boolean(true)] : []), octets(content));
}

function extensions(request: CertificateRequest): Buffer[] {
  const isAuthority = request.use === "authority";
  // Bits count from the left: digitalSignature is 0, keyCertSign 5, cRLSign 6.
  const usage = isAuthority ? bits(Buffer.from([0b0000_0110]), 1) : bits(Buffer.from([0b1000_0000]), 7);
  const list = [extension("2.5.29.19", true, isAuthority ? sequence(boolean(true)) : sequence()), extension("2.5.29.15", true, usage)];
  if (!isAuthority) {
    const purpose = request.use === "server" ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2";
    list.push(extension("2.5.29.37", false, sequence(objectIdentifier(purpose))));
  }
  if (request.names.length > 0) list.push(extension("2.5.29.17", false, sequence(...request.names.map(generalName))));
  return list;
}

function generalName(name: string): Buffer {
  if (isIPv4(name)) return tagged(0x87, Buffer.from(name.split(".").map(Number)));
  return isIPv6(name) ? tagged(0x87, addressBytes(name)) : tagged(0x82, Buffer.from(name));
}

/** The 16 bytes of an IPv6 address in any of its forms. */
function addressBytes(address: string): Buffer {
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = "", right] = canonical.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(left), groups(right ?? "")];
  const all = right === undefined ? before : [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Random, and positive as the standard asks. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
