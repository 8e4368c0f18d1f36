import { ByteReader, decodeCString } from "./byte-reader.ts";
import { MalformedObject } from "./malformed-object.ts";

/** Section types and machine of elf.h. */
const sectionWithoutBytes = 8; // SHT_NOBITS
const machineBpf = 247; // EM_BPF
const fileHeaderSizeBytes = 64;
const sectionHeaderSizeBytes = 64;

export interface ElfSection {
  readonly name: string;
  /** Empty for a section that only has a size, such as `.bss`. Shares memory with the file. */
  readonly bytes: Uint8Array;
}

/** The sections of a little-endian 64-bit BPF object, in file order. Throws MalformedObject for anything else. */
export function decodeElfSections(file: Uint8Array): ElfSection[] {
  const reader = new ByteReader(file, "the ELF file");
  if (file.byteLength < fileHeaderSizeBytes || reader.u32() !== 0x464c457f)
    throw new MalformedObject("this is no ELF file: its magic number is missing");
  const elfClass = reader.u8();
  const byteOrder = reader.u8();
  if (elfClass !== 2) throw new MalformedObject("this ELF file is not of the 64-bit class: compile with -target bpf");
  if (byteOrder !== 1)
    throw new MalformedObject("this ELF file is big-endian: only little-endian machines are supported, compile with -target bpfel");
  reader.skip(12); // Rest of the identification (10 bytes), type.
  const machine = reader.u16();
  if (machine !== machineBpf)
    throw new MalformedObject(`this ELF file is for machine ${machine}, not for BPF (${machineBpf}): compile with -target bpf`);
  reader.skip(20); // Version, entry, program headers.
  const tableOffset = Number(reader.u64());
  reader.skip(10); // Flags, sizes of the file header and the program headers, their count.
  const headerSizeBytes = reader.u16();
  const count = reader.u16();
  const nameSectionIndex = reader.u16();
  if (headerSizeBytes !== sectionHeaderSizeBytes)
    throw new MalformedObject(`section headers have ${headerSizeBytes} bytes, not ${sectionHeaderSizeBytes}`);

  const table = new ByteReader(reader.slice(tableOffset, count * sectionHeaderSizeBytes, "the section table"), "the section table");
  const sections = Array.from({ length: count }, (_, index) => decodeSection(table, reader, index));
  const names = sections[nameSectionIndex];
  if (names === undefined) throw new MalformedObject(`section ${nameSectionIndex}, said to hold the names, does not exist`);
  return sections.map(({ nameOffset, bytes }) => ({ name: decodeCString(names.bytes, nameOffset, "the section names"), bytes }));
}

function decodeSection(table: ByteReader, file: ByteReader, index: number): { nameOffset: number; bytes: Uint8Array } {
  const nameOffset = table.u32();
  const type = table.u32();
  table.skip(16); // Flags, address.
  const offset = Number(table.u64());
  const sizeBytes = Number(table.u64());
  table.skip(24); // Link, information, alignment, size of entries.
  const isEmpty = type === sectionWithoutBytes || type === 0;
  return { nameOffset, bytes: isEmpty ? new Uint8Array(0) : file.slice(offset, sizeBytes, `section ${index}`) };
}
