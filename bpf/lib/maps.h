/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every map of the node, and what is set at load. Sizes may be overridden at load. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <conntrack.h>
#include <endpoint.h>
#include <events.h>
#include <files.h>
#include <ipcache.h>
#include <marks.h>
#include <metrics.h>
#include <policy.h>
#include <reasons.h>
#include <runtime.h>

const volatile struct node_config config;

/* Never read. It keeps the layouts that no map mentions in the object's BTF. */
const volatile union {
	struct drop_notify drop;
	struct trace_notify trace;
	struct policy_verdict_notify policy_verdict;
	struct local_address_key local_address_key;
	enum event_type event_type;
	enum notify_flags notify_flags;
	enum trace_reason trace_reason;
	enum trace_point trace_point;
	enum verdict_flags verdict_flags;
	enum drop_reason drop_reason;
	enum source_file source_file;
	enum metrics_direction metrics_direction;
	enum policy_direction policy_direction;
	enum policy_entry_flags policy_entry_flags;
	enum endpoint_flags endpoint_flags;
	enum endpoint_id endpoint_id;
	enum local_address_flags local_address_flags;
	enum ct_flags ct_flags;
	enum fragment_kind fragment_kind;
	enum mark mark;
} layouts;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct endpoint);
	__uint(max_entries, 16384);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} endpoint_devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct local_address_key);
	__type(value, struct local_address);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} local_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct ipcache_key);
	__type(value, struct ipcache_entry);
	__uint(max_entries, 512000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ipcache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct policy_key);
	__type(value, struct policy_entry);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} policy SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ct_key4);
	__type(value, struct ct_entry);
	__uint(max_entries, 131072);
} ct4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ct_key6);
	__type(value, struct ct_entry);
	__uint(max_entries, 131072);
} ct6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fragment_key);
	__type(value, struct fragment_ports);
	__uint(max_entries, 8192);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct metrics_key);
	__type(value, struct metrics_value);
	__uint(max_entries, 1024);
} metrics SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct metrics_value);
	__uint(max_entries, 4);
} forwarded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4194304);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} events_lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __be32);
	__uint(max_entries, 1);
} tunnel_source SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct runtime);
	__uint(max_entries, 1);
} runtime SEC(".maps");
