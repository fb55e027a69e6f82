import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate that a test has made, in PEM format. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** The names of the subject, for a certificate that this one issues. */
  readonly subject: Uint8Array;
  readonly privateKey: KeyObject;
}

/** What a certificate states. */
export interface CertificateOptions {
  /** The common name. Default "localhost". */
  readonly commonName?: string;
  /** The DNS names. Default `["localhost"]`. */
  readonly names?: readonly string[];
  /** IPv4 addresses. Default `["127.0.0.1"]`. */
  readonly addresses?: readonly string[];
  /** Days from today. Default: from -1 to 30. */
  readonly fromDay?: number;
  readonly toDay?: number;
  /** Whether it may issue others. */
  readonly isCa?: boolean;
  /** The issuer. Default: it signs itself. */
  readonly issuer?: Certificate;
  /** Default "ec": ECDSA with P-256. */
  readonly keyType?: "ec" | "rsa";
}

const DAY_MS = 86_400_000;

// Tags of ASN.1. ITU-T X.690
const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BOOLEAN = 0x01;
const OCTETS = 0x04;
const OID = 0x06;
const UTF8 = 0x0c;
const BITS = 0x03;
const TIME = 0x18;

/** Encodes one value by the rules of DER. */
function der(tag: number, ...parts: readonly (Uint8Array | number[])[]): Uint8Array {
  const content = Buffer.concat(parts.map((part) => Uint8Array.from(part)));
  const { length } = content;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.from([tag, ...size]), content]);
}

function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(OID, bytes);
}

function time(day: number): Uint8Array {
  const date = new Date(Date.now() + day * DAY_MS).toISOString();
  return der(TIME, Buffer.from(`${date.replace(/[-:T]/g, "").slice(0, 14)}Z`));
}

function extension(id: string, isCritical: boolean, value: Uint8Array): Uint8Array {
  const critical = isCritical ? [der(BOOLEAN, [0xff])] : [];
  return der(SEQUENCE, oid(id), ...critical, der(OCTETS, value));
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** Makes a key and a certificate for it. RFC 5280 section 4.1 */
export function makeCertificate(options: CertificateOptions = {}): Certificate {
  const { commonName = "localhost", names = ["localhost"], addresses = ["127.0.0.1"] } = options;
  const { fromDay = -1, toDay = 30, isCa = false, issuer, keyType = "ec" } = options;
  const { privateKey, publicKey } =
    keyType === "ec"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const signer = issuer?.privateKey ?? privateKey;
  const algorithm =
    signer.asymmetricKeyType === "ec"
      ? der(SEQUENCE, oid("1.2.840.10045.4.3.2"))
      : der(SEQUENCE, oid("1.2.840.113549.1.1.11"), [0x05, 0x00]);
  const subject = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, oid("2.5.4.3"), der(UTF8, Buffer.from(commonName)))),
  );
  const alternatives = der(
    SEQUENCE,
    ...names.map((name) => der(0x82, Buffer.from(name))),
    ...addresses.map((address) => der(0x87, address.split(".").map(Number))),
  );
  const extensions = [
    extension("2.5.29.19", true, der(SEQUENCE, ...(isCa ? [der(BOOLEAN, [0xff])] : []))),
    ...(isCa ? [] : [extension("2.5.29.17", false, alternatives)]),
  ];
  const serial = randomBytes(8);
  serial[0] = 0x40 | ((serial[0] as number) & 0x3f);
  const contents = der(
    SEQUENCE,
    der(0xa0, der(INTEGER, [2])),
    der(INTEGER, serial),
    algorithm,
    issuer?.subject ?? subject,
    der(SEQUENCE, time(fromDay), time(toDay)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(SEQUENCE, ...extensions)),
  );
  const signature = der(BITS, [0], sign("sha256", contents, signer));
  return {
    cert: pem("CERTIFICATE", der(SEQUENCE, contents, algorithm, signature)),
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    subject,
    privateKey,
  };
}
