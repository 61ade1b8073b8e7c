/* What lies where libspmsg-tls is looked for, and speaks a version of which libspmsg knows nothing:
 * none of it but its number may be looked at. */

const void *spmsg_tls_table(unsigned version, const void *memory);

const void *spmsg_tls_table(unsigned version, const void *memory)
{
    static unsigned table[1];
    (void)memory;
    table[0] = version + 1;
    return table;
}
