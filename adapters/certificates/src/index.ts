export { type CertificateRequest, type Issuer, issueCertificate, type KeyPair, type Subject } from "./issue.ts";
export { type OwnTlsOptions, openOwnTls } from "./own-tls.ts";
export { ensurePair, type KnownIssuer, knownIssuer, writePrivate } from "./pair-files.ts";
export { openTlsFiles, type TlsFilePaths, type TlsFilesOptions } from "./tls-files.ts";
export { CertificateError, describeMaterial, type TlsMaterial, type TlsSource } from "./tls-source.ts";
